"""What all hosts of one stand-in share, and who is asking."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from civitai_crawler.standin.faults import Dice, Faults
from civitai_crawler.standin.truths import cap

if TYPE_CHECKING:
    from civitai_crawler.standin.log import Log
    from civitai_crawler.standin.world import World

BUCKET = "xG1nkqKTMzGDvpLrqFT7WA"
SESSION_COOKIE, LEGACY_COOKIE = "__Secure-civ-token", "__Secure-civitai-token"
LEGACY_NAMES = (
    LEGACY_COOKIE,
    *(f"{LEGACY_COOKIE}.{part}" for part in range(4)),
    "__Secure-next-auth.session-token",
    "__Secure-next-auth.callback-url",
    "__Host-next-auth.csrf-token",
    "next-auth.session-token",
    "next-auth.callback-url",
    "next-auth.csrf-token",
    "civitai-token",
)
ROLL_PAUSE = 600.0


@dataclass(slots=True)
class Accounts:
    """The credentials that are accepted, all of one account."""

    api_key: str = "standin-key"
    session: str = "standin-session"
    legacy: str = "standin-legacy"
    id: int = 900777
    username: str = "archive_owner"


@dataclass(slots=True)
class Urls:
    """Base URLs without a closing slash; ``media`` includes the bucket."""

    site: str = ""
    media: str = ""
    storage: str = ""
    second: str = ""


@dataclass(slots=True)
class State:
    """One stand-in."""

    world: World
    faults: Faults
    log: Log
    accounts: Accounts
    colour: str = "com"
    urls: Urls = field(default_factory=Urls)
    dice: Dice = field(init=False)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    answered: set[str] = field(default_factory=set)
    links: dict[str, int] = field(default_factory=dict)
    downloads: dict[str, int] = field(default_factory=dict)
    rolled: float | None = None

    def __post_init__(self) -> None:
        self.dice = Dice(self.faults)

    def first_time(self, key: str) -> bool:
        """Return true once per key."""
        new = key not in self.answered
        self.answered.add(key)
        return new


STATE: web.AppKey[State] = web.AppKey("state", State)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: signed in or not, by which credential, and the maturity cap of lists."""

    signed_in: bool
    by: str
    cap: int


def viewer(request: web.Request) -> Viewer:
    """Tell who asks: an API key or ``token=`` hides cookies, an unknown one is nobody."""
    state = request.app[STATE]
    kind = _credential(request, state)
    signed_in = kind != ""
    return Viewer(signed_in, kind, cap(signed_in=signed_in, colour=state.colour))


def _credential(request: web.Request, state: State) -> str:
    accounts = state.accounts
    authorization = request.headers.get("Authorization")
    if authorization is not None or "token" in request.query:
        key = (authorization or "").removeprefix("Bearer ") or request.query.get("token")
        return "key" if key == accounts.api_key else ""
    if request.cookies.get(SESSION_COOKIE) == accounts.session:
        return "session"
    if request.cookies.get(LEGACY_COOKIE) == accounts.legacy:
        spent = state.faults.legacy_expires and state.rolled is not None
        return "" if spent else "legacy"
    return ""


def roll_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Exchanges the former session cookie for today's, at most once in ten minutes."""
    state = request.app[STATE]
    if viewer(request).by != "legacy":
        return
    if state.rolled is not None and time.monotonic() - state.rolled < ROLL_PAUSE:
        return
    state.rolled = time.monotonic()
    secure = request.secure or None  # a client would not send a Secure cookie back over http
    response.set_cookie(
        SESSION_COOKIE,
        state.accounts.session,
        path="/",
        max_age=30 * 86_400,
        httponly=True,
        samesite="Lax",
        secure=secure,
    )
    for name in LEGACY_NAMES:
        response.del_cookie(name, path="/", secure=secure)
