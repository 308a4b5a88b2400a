"""``/api/download/models/{id}``: the tests in the site's order, then a signed link to storage."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiohttp import web

from civitai_crawler.standin import enums
from civitai_crawler.standin.dates import iso
from civitai_crawler.standin.queries import LARGEST_ID, InvalidError, Query, number
from civitai_crawler.standin.state import STATE, viewer

if TYPE_CHECKING:
    from civitai_crawler.standin.records import File, Version
    from civitai_crawler.standin.state import State

BROWSERS = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
NO_STORE = {"Cache-Control": "no-store, max-age=0"}
PREFERRED = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": ""}
WEIGHTS = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}
MAIN_TYPES = {"Model", "Pruned Model"}
MAIN_WEIGHT = 1000.0
DISABLED = {"error": "Unauthorized", "message": "The creator has disabled downloads of this file"}
LOGIN = {
    "error": "Unauthorized",
    "message": "The creator of this asset requires you to be logged in",
}
MISSING: dict[str, Any] = {"error": "File not found"}


class RefusedError(Exception):
    """No download: status, JSON body, and where browsers are sent instead."""

    def __init__(self, status: int, body: dict[str, Any], location: str | None = None) -> None:
        super().__init__(f"{status}")
        self.status, self.body, self.location = status, body, location


def is_browser(request: web.Request) -> bool:
    """By the user agent, as the site tells browsers from programs."""
    agent = request.headers.get("User-Agent", "").lower()
    return any(name in agent for name in BROWSERS)


def _login(version_id: int) -> RefusedError:
    back = quote(f"/model-versions/{version_id}", safe="")
    return RefusedError(401, LOGIN, f"/login?returnUrl={back}&reason=download-auth")


def _quota(request: web.Request, state: State) -> None:
    account = viewer(request).by and state.accounts.username
    state.downloads[account] = state.downloads.get(account, 0) + 1
    limit = state.faults.quota_after
    if limit is not None and state.downloads[account] > limit:
        message = "We have noticed an unusual amount of downloading, please contact support"
        raise RefusedError(429, {"error": message})


def _version(state: State, wanted: int) -> Version:
    """Return the version, unless it is missing, of a real person, archived or unpublished."""
    version = state.world.versions.get(wanted)
    if version is None or version.model.poi:
        raise RefusedError(404, MISSING)
    if version.model.mode == "Archived":
        raise RefusedError(410, {"error": "Model archived, not available for download"})
    if not version.model.public or version.status != "Published":
        raise RefusedError(404, MISSING)
    return version


def _may_download(request: web.Request, state: State, version: Version) -> None:
    signed_in = viewer(request).signed_in
    if version.access == "disabled":
        raise RefusedError(401, DISABLED)
    needs_login = version.access == "login" or state.faults.login_for_downloads
    if state.faults.login_redirect or (needs_login and not signed_in):
        raise _login(version.id)
    if version.access == "early":
        body = {
            "error": "Early Access",
            "deadline": iso(version.deadline or 0),
            "message": "This asset is in early access, buy it or wait",
        }
        raise RefusedError(403, body, f"/model-versions/{version.id}")
    if version.access == "no_grant":
        if not signed_in:
            raise _login(version.id)
        raise RefusedError(403, {"error": "You do not have access to this file"})


def _score(file: File, wishes: dict[str, str]) -> float:
    score = MAIN_WEIGHT * (file.type in MAIN_TYPES)
    for name, weight in WEIGHTS.items():
        score += weight * (file.metadata.get(name) == wishes.get(name, PREFERRED[name]))
    return score


def pick(version: Version, query: Query) -> File | None:
    """Return the file that a query means; ``None`` when none fits it."""
    file_id = query.number("fileId")
    if file_id is not None:
        return next((file for file in version.files if file.id == file_id), None)
    wishes = {name: query.text(name) or "" for name in WEIGHTS if name in query}
    kind = query.text("type")
    if kind is None and not wishes:
        return next((file for file in version.files if file.primary), None)
    files = [file for file in version.files if kind in (None, file.type)]
    if not files and kind == "VAE" and version.vae is not None:
        files = [file for file in version.vae.files if file.primary]
    chosen = max(files, key=lambda file: _score(file, wishes), default=None)
    if chosen is None or chosen.oddity == "printed_dead":
        return None
    fits = all(chosen.metadata.get(name) == value for name, value in wishes.items())
    return chosen if fits else None


def _served_name(file: File) -> str:
    """Return the server's own idea of a file name; only LoRA files keep the creator's."""
    model = file.version.model
    if model.type in {"LORA", "LoCon"}:
        return re.sub(r"[^\w.-]", "_", file.name, flags=re.ASCII)
    camel = ["".join(re.findall(r"[A-Za-z0-9]+", t)) for t in (model.name, file.version.name)]
    return "_".join(camel)[:120] + PurePosixPath(file.name).suffix.strip(". ")


def signature(state: State, path: str, expires: int) -> str:
    text = f"{path}|{expires}".encode()
    return hmac.new(state.secret, text, hashlib.sha256).hexdigest()


def signed_link(state: State, file: File) -> str:
    """Return a link in Backblaze's or R2's form; the first few may be expired already."""
    path = f"/file/civitai-modelfiles/model/{file.version.model.user.id}/{file.id}"
    count_key = f"links:{file.id}"
    state.links[count_key] = state.links.get(count_key, 0) + 1
    fresh = state.links[count_key] > state.faults.expired_links
    expires = round((time.time() + (state.faults.link_ttl if fresh else -60)) * 1000)
    signed = f"{expires}_{signature(state, path, expires)}"
    disposition = f'attachment; filename="{_served_name(file)}"'
    if file.id % 2:
        query = {"Authorization": signed, "b2ContentDisposition": disposition}
    else:
        query = {
            "X-Amz-Expires": "86400",
            "X-Amz-Signature": signed,
            "response-content-disposition": disposition,
        }
    return f"{state.urls.storage}{path}?{urlencode(query, quote_via=quote)}"


def _link(request: web.Request) -> str:
    """Return the signed link, or RefusedError; the tests in the order of the site."""
    state, query = request.app[STATE], Query(request.query)
    _quota(request, state)
    version_id = number("modelVersionId", request.match_info["id"], 0, LARGEST_ID)
    if "format" in query:
        query.choice("format", enums.FILE_FORMATS, "")
    query.number("fileId")
    version = _version(state, version_id)
    _may_download(request, state, version)
    file = pick(version, query)
    if file is None or file.oddity == "gone":
        raise RefusedError(404, MISSING)
    if file.oddity == "transient" and state.first_time(f"file:{file.id}"):
        raise RefusedError(404, MISSING)
    link = signed_link(state, file)
    state.dice.alias(f"storage:{file.id}", f"site:{request.path_qs}")
    return link


def _refusal(request: web.Request, error: RefusedError) -> web.Response:
    """JSON for programs; for browsers a redirect or plain text."""
    if error.location is not None and is_browser(request):
        headers = {**NO_STORE, "Location": error.location}
        return web.Response(status=307, headers=headers)
    if is_browser(request) and error.body is not DISABLED:
        return web.Response(status=error.status, text=error.body["error"], headers=NO_STORE)
    return web.json_response(error.body, status=error.status, headers=NO_STORE)


async def download(request: web.Request) -> web.Response:
    """``GET /api/download/models/{id}``: 307 with the link as Location and as body."""
    try:
        link = _link(request)
    except InvalidError as error:
        refusal = error.as_text()
        return web.json_response(refusal.body, status=refusal.status, headers=NO_STORE)
    except RefusedError as error:
        if request.app[STATE].faults.login_redirect and error.location:
            return web.Response(status=307, headers={**NO_STORE, "Location": error.location})
        return _refusal(request, error)
    headers = {**NO_STORE, "Access-Control-Allow-Origin": "*", "Location": link}
    return web.Response(status=307, text=link, headers=headers)
