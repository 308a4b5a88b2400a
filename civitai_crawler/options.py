"""Our own settings: every ``CIVITAI_*`` name with its default, its meaning and its check.

A value comes from ``-s NAME=value``, the environment, ``.env`` or a settings module, in this order.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


PREFIX = "CIVITAI_"
#: Names of the environment that are read by the tests, not by a crawl.
_NOT_OURS = {"CIVITAI_SAMPLES"}
#: What CIVITAI_SIDECARS takes.
SIDECARS = (
    "civitai_info", "lora_manager", "a1111", "cm_info", "swarm", "preview", "caption", "image_json"
)  # fmt: skip


def _url(value: str) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("expected an address like https://civitai.com")
    return str(value).rstrip("/")


def _site(value: str) -> str:
    parts = urlsplit(_url(value))
    if parts.path or parts.username is not None:
        raise ValueError("expected scheme and host alone, like https://civitai.com")
    return _url(value)


def _number(minimum: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        number = float(value)
        if not minimum <= number < float("inf"):
            raise ValueError(f"expected a number of at least {minimum:g}")
        return number

    return parse


def _whole(minimum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        number = int(value)
        if number < minimum:
            raise ValueError(f"expected a whole number of at least {minimum}")
        return number

    return parse


def _folder(value: Any) -> str:
    if not str(value).strip():
        raise ValueError("expected a folder")
    return str(value)


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off", "", "none"):
        return False
    raise ValueError("expected true or false")


def _subset(*allowed: str) -> Callable[[Any], list[str]]:
    def parse(value: Any) -> list[str]:
        words = words_of(value)
        if wrong := [word for word in words if word not in allowed]:
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
        return words

    return parse


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return str(value)

    return parse


def words_of(value: Any) -> list[str]:
    """Split a comma list (or take a list) into its words; ``none`` and empty text are no words."""
    words = value.split(",") if isinstance(value, str) else list(value or ())
    return [word.strip() for word in words if word.strip() not in ("", "none")]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting."""

    name: str
    default: Any
    parse: Callable[[Any], Any]
    meaning: str
    secret: bool = False


OPTIONS = {
    option.name: option
    for option in (
        Option(
            "CIVITAI_BASE_URL",
            "https://civitai.com",
            _site,
            "the site; https://civitai.red shows mature content to signed-in users",
        ),
        Option(
            "CIVITAI_MEDIA_URL",
            "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA",
            _url,
            "where originals of images and videos are fetched, with the site's bucket",
        ),
        Option(
            "CIVITAI_REQUEST_INTERVAL",
            1.5,
            _number(0),
            "seconds between the starts of two requests to the site",
        ),
        Option(
            "CIVITAI_SHARED_PACE",
            "auto",
            _one_of("auto", "true", "false"),
            "one pace for all processes of one user; auto: unless the site is this machine",
        ),
        Option(
            "CIVITAI_RETRY_TIMES", 5, _whole(0), "further tries of a request before it is a failure"
        ),
        Option(
            "CIVITAI_IDLE_TIMEOUT",
            60,
            _number(1),
            "seconds without a byte after which a download is taken up anew",
        ),
        Option(
            "CIVITAI_OFFLINE_PATIENCE",
            600,
            _number(0),
            "seconds that a crawl waits for a lost network before it ends, ready to go on",
        ),
        Option(
            "CIVITAI_BATCH_SIZE",
            20,
            _whole(1),
            "images or posts that one tRPC request asks about at most; 1 turns batches off",
        ),
        Option("CIVITAI_COOKIES", "", str, "a signed-in browser's Cookie header", secret=True),
        Option("CIVITAI_COOKIES_FILE", "", str, "the same as a Netscape cookies.txt"),
        Option("CIVITAI_API_KEY", "", str, "an API key of your account", secret=True),
        Option(
            "CIVITAI_REQUIRE_LOGIN",
            "false",
            _flag,
            "refuse to start without a credential that the site accepts",
        ),
        Option("CIVITAI_ARCHIVE", "archive", _folder, "the folder that holds the archives"),
        Option(
            "CIVITAI_EXCLUDE",
            "poi,minor",
            _subset("poi", "minor"),
            "flagged content that is left out: real persons, minors",
        ),
        Option(
            "CIVITAI_FEED_FORMAT",
            "jsonlines",
            _one_of("jsonlines", "csv"),
            "format of the archive's feeds: jsonlines or csv",
        ),
        Option(
            "CIVITAI_DOWNLOAD",
            "images,files",
            _subset("images", "files"),
            "what is downloaded beside the records (the download argument)",
        ),
        Option(
            "CIVITAI_THUMBS",
            "false",
            _flag,
            "small JPEGs of stills in `thumbnails/` (the thumbs argument); sizes by IMAGES_THUMBS",
        ),
        Option("CIVITAI_FILE_TYPES", "", words_of, "only files of these types (Model, VAE ...)"),
        Option("CIVITAI_FORMATS", "", words_of, "only files of these formats (SafeTensor ...)"),
        Option("CIVITAI_FP", "", words_of, "only files of these precisions (fp16 ...)"),
        Option("CIVITAI_MAX_SIZE", 0, _whole(0), "only files of at most so many bytes; 0: all"),
        Option("CIVITAI_PRIMARY_ONLY", "false", _flag, "only the primary file of a version"),
        Option(
            "CIVITAI_SIDECARS",
            "civitai_info,lora_manager,a1111,cm_info,swarm,preview",
            _subset(*SIDECARS),
            "files for other programs beside models; also caption and image_json, beside images",
        ),
        Option(
            "CIVITAI_PREVIEW_LEVEL",
            16,
            _whole(0),
            "highest browsing level of a preview; one that is safe for work goes first",
        ),
        Option(
            "CIVITAI_PROGRESS",
            "auto",
            _one_of("auto", "lines", "none"),
            "auto: bars on a terminal, elsewhere a line a minute; lines: never bars",
        ),
        Option(
            "CIVITAI_DRY_RUN",
            "false",
            _flag,
            "walk the lists, print what a crawl would fetch, and leave the archive as it is",
        ),
    )
}


def defaults(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting: of the first of *sources* that has it, else its default."""
    found = {name: option.default for name, option in OPTIONS.items()}
    for source in reversed(sources):
        found.update({name: value for name, value in source.items() if name in OPTIONS and value})
    return found


def unknown(source: Mapping[str, Any]) -> dict[str, str]:
    """Return the ``CIVITAI_*`` names of *source* that do not exist.

    Without their values: Scrapy logs settings, and a key may stand under a mistyped name.
    """
    return dict.fromkeys((name for name in source if _is_unknown(name)), "")


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX) and name not in OPTIONS and name not in _NOT_OURS


def check(settings: Mapping[str, Any], names: Iterable[str] = ()) -> None:
    """Raise :class:`UsageError` for a ``CIVITAI_*`` name that does not exist or does not parse.

    *names* are further names to look at, such as those of the environment.
    """
    for name in {*settings, *names}:
        if _is_unknown(name):
            near = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"There is no setting {name}.{hint}")
    for name, option in OPTIONS.items():
        try:
            option.parse(settings.get(name, option.default))
        except (ValueError, TypeError) as error:
            hidden = option.secret or "@" in str(settings.get(name))  # an account's password
            shown = "its value" if hidden else repr(settings.get(name))
            raise UsageError(f"{name} cannot be {shown}: {error}.") from error
