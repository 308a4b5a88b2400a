"""Which path of which host is answered by what."""

from __future__ import annotations

from aiohttp import web

from civitai_crawler.standin import (
    cdn,
    downloads,
    pages,
    rest_images,
    rest_models,
    rest_people,
    storage,
    trpc,
)
from civitai_crawler.standin.queries import RefusalError
from civitai_crawler.standin.state import BUCKET

METHOD_NOT_ALLOWED = 405


async def _get_only(_request: web.Request) -> web.Response:
    raise RefusalError(METHOD_NOT_ALLOWED, {"error": "Method not allowed"})


_SITE = [
    web.get("/api/v1/me", rest_people.me),
    web.get("/api/v1/models", rest_models.models, allow_head=False),
    web.route("*", "/api/v1/models", _get_only),
    web.get("/api/v1/models/{id}", rest_models.model),
    web.get("/api/v1/model-versions/by-hash/{hash}", rest_models.version_by_hash),
    web.get("/api/v1/model-versions/{id}", rest_models.version, allow_head=False),
    web.route("*", "/api/v1/model-versions/{id}", _get_only),
    web.get("/api/v1/images", rest_images.images),
    web.get("/api/v1/users", rest_people.users),
    web.get("/api/v1/creators", rest_people.creators),
    web.get("/api/v1/enums", rest_people.enumerations),
    web.get("/api/auth/session", rest_people.session),
    web.get("/api/trpc/{calls}", trpc.answer),
    web.post("/api/trpc/{calls}", trpc.answer),
    web.get("/api/download/models/{id}", downloads.download),
    web.get("/posts/{id}", pages.post),
    web.get("/posts/{id}/{slug:.*}", pages.post),
    web.get("/images/{id}", pages.image),
    web.get("/user/{name}/models", pages.user_models),
    web.get("/user/{name}", pages.user_models),
    web.get("/model-versions/{id}", pages.version),
    web.get("/models/{id}", pages.plain),
    web.get("/login", pages.plain),
    web.get("/region-blocked", pages.plain),
    web.get("/", pages.plain),
    web.route("*", "/{path:.*}", pages.unknown),
]

ROUTES: dict[str, list[web.RouteDef]] = {
    "site": _SITE,
    "media": [web.get(f"/{BUCKET}/{{uuid}}/{{transform}}/{{name:.*}}", cdn.first)],
    "second": [web.get("/file/civitai-media-cache/{uuid}/{form}", cdn.second)],
    "storage": [web.route("*", "/file/civitai-modelfiles/model/{user}/{file:\\d+}", storage.serve)],
}
