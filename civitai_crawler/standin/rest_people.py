"""REST: who am I, users, creators and the lists of enumerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from civitai_crawler.standin import enums, rest_shapes
from civitai_crawler.standin.queries import InvalidError, Query, RefusalError
from civitai_crawler.standin.state import STATE, viewer

if TYPE_CHECKING:
    from civitai_crawler.standin.records import User
    from civitai_crawler.standin.state import State

UNAUTHORIZED = 401
DEFAULT, MOST = 20, 200


async def me(request: web.Request) -> web.Response:
    """``GET /api/v1/me``: 401 without a session."""
    who, accounts = viewer(request), request.app[STATE].accounts
    if not who.signed_in:
        raise RefusalError(UNAUTHORIZED, {"error": "Unauthorized"})
    record: dict[str, Any] = {
        "id": accounts.id,
        "username": accounts.username,
        "tier": "free",
        "status": "active",
        "isMember": False,
        "subscriptions": [],
    }
    if who.by == "key":
        subject = {"type": "apiKey", "id": 4242}
        record |= {"tokenScope": 33_554_431, "buzzLimit": None, "subject": subject}
    return web.json_response(record)


async def session(request: web.Request) -> web.Response:
    """``GET /api/auth/session``: an empty object when signed out."""
    if not viewer(request).signed_in:
        return web.json_response({})
    accounts = request.app[STATE].accounts
    user = {"id": accounts.id, "username": accounts.username}
    return web.json_response({"user": user, "expires": "2099-01-01T00:00:00.000Z"})


async def users(request: web.Request) -> web.Response:
    """``GET /api/v1/users?ids=…`` or ``?query=…``."""
    state, query = request.app[STATE], Query(request.query)
    everybody = list(state.world.users.values())
    try:
        ids, text = query.numbers("ids"), query.text("query")
    except InvalidError as error:
        raise error.as_object() from None
    if ids:
        everybody = [user for user in everybody if user.id in ids]
    if text:
        everybody = [user for user in everybody if text.lower() in user.name.lower()][:5]
    records = [
        {"id": u.id, "username": u.name, "avatarUrl": u.avatar, "avatarNsfw": 1} for u in everybody
    ]
    return web.json_response({"items": records if ids or text else []})


def _creator(state: State, user: User) -> dict[str, Any]:
    count = sum(model.public for model in state.world.models_of(user))
    image = rest_shapes.avatar_url(state, user)
    record: dict[str, Any] = {"username": user.name}
    if count:
        record["modelCount"] = count
    record["link"] = f"{state.urls.site}/api/v1/models?username={user.name}"
    return {**record, "image": image} if image else record


async def creators(request: web.Request) -> web.Response:
    """``GET /api/v1/creators``; a model count of 0 is left out."""
    state, query = request.app[STATE], Query(request.query)
    try:
        limit, page = query.limit(DEFAULT, 1, MOST), query.number("page", 1) or 1
    except InvalidError as error:
        raise error.as_list() from None
    text = query.text("query")
    found = [u for u in state.world.users.values() if not text or text.lower() in u.name.lower()]
    rows = found[(page - 1) * limit : page * limit]
    pages = -(-len(found) // limit)
    info: dict[str, Any] = {
        "totalItems": len(found),
        "currentPage": page,
        "pageSize": limit,
        "totalPages": pages,
    }
    if text:
        info["hasMore"] = page < pages
    elif page < pages:
        info["nextPage"] = f"{state.urls.site}/api/v1/creators?limit={limit}&page={page + 1}"
    return web.json_response({"items": [_creator(state, u) for u in rows], "metadata": info})


async def enumerations(_request: web.Request) -> web.Response:
    """``GET /api/v1/enums``."""
    return web.json_response(
        {
            "ModelType": enums.MODEL_TYPES,
            "ModelFileType": enums.FILE_TYPES,
            "ActiveBaseModel": enums.BASE_MODELS[1:3],
            "BaseModel": enums.BASE_MODELS,
            "BaseModelType": enums.BASE_MODEL_TYPES,
        }
    )
