"""The gallery as a web application: its addresses, and what keeps strangers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from civitai_crawler.gallery import texts
from civitai_crawler.gallery.media import Media
from civitai_crawler.gallery.pages import Pages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from civitai_crawler.gallery.store import Store

_HERE = Path(__file__).parent
#: Everything comes from here, nothing runs but our one file, no page of others may show or read it.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: Names under which a browser on this machine reaches it. A page elsewhere whose name suddenly
#: leads to loopback (DNS rebinding) still sends its own name.
_HOSTS = ("127.0.0.1", "localhost")


def create(store: Store, archives: dict[str, Path], cache: Path, host: str) -> Starlette:
    """Return the gallery of *archives* (by the names that *store* knows), for visitors of *host*.

    *cache* is the folder that its thumbnails go to.
    """
    pages = Pages(store, archives, _templates())
    media = Media(store, archives, cache)
    routes = [
        Route("/", pages.home, name="home"),
        Route("/creators/{name:path}", pages.creator, name="creator"),
        Route("/models", pages.models, name="models"),
        Route("/models/{id}", pages.model, name="model"),
        Route("/versions/{id}", pages.version, name="version"),
        Route("/posts", pages.posts, name="posts"),
        Route("/posts/{id}", pages.post, name="post"),
        Route("/images", pages.images, name="images"),
        Route("/images/{id}", pages.image, name="image"),
        Route("/failures", pages.failures, name="failures"),
        Route("/report", pages.report, name="report"),
        Route("/media/{id}", media.original, name="media"),
        Route("/thumbs/{id}", media.thumbnail, name="thumb"),
        Route("/files/{id}", media.model_file, name="file"),
        Mount("/static", StaticFiles(directory=_HERE / "static"), name="static"),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: pages.error},
        middleware=[
            Middleware(Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*_HOSTS, host], www_redirect=False),
        ],
    )


def _templates() -> Jinja2Templates:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "harmless": texts.harmless, "loaded": texts.loaded, "size": texts.size,
        "plain": texts.plain, "grouped": texts.grouped,
    }  # fmt: skip
    return Jinja2Templates(env=environment)


class Headers:
    """Adds to every answer what a browser has to know to be safe."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)
