"""What can be made to go wrong, and the dice that decide when."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Switches of the stand-in; every one may be changed while it runs.

    Rates are 0..1 of the requests. They are decided by ``seed``, the URL and how often it was
    asked, so two runs that ask the same meet the same. No logical request meets more than
    ``max_consecutive`` of them in a row.
    """

    seed: int = 1
    max_consecutive: int = 2

    rate_429: float = 0.0
    """Too many requests; of downloads only with a Retry-After, else it would read as a quota."""
    retry_after_429: float | None = None
    """Seconds in Retry-After; ``None`` sends none. tRPC never sends one."""
    rate_503: float = 0.0
    retry_after_503: float | None = 2.0
    """As above, for 503."""
    rate_500: float = 0.0
    challenge_rate: float = 0.0
    """Cloudflare's challenge: 403, HTML, ``cf-mitigated``."""
    bad_json_rate: float = 0.0
    """JSON answers cut in the middle, with a Content-Length that fits the cut."""
    html_instead_rate: float = 0.0
    """200 with a web page where JSON was due."""
    reset_rate: float = 0.0
    """The connection is closed without an answer, on every host."""
    truncate_rate: float = 0.0
    """Media and files: fewer bytes than Content-Length promised."""
    stall_rate: float = 0.0
    """Media and files: half of the body, then silence until the client hangs up."""

    latency: float = 0.0
    """Seconds before every answer."""
    body_delay: float = 0.0
    """Seconds before each piece (64 KiB) of media and files."""

    devalue: bool = False
    """tRPC answers and pages carry devalue text instead of superjson."""
    wrong_hash: bool = False
    """One file is published with a wrong SHA256."""
    broken_record: str = ""
    """``model``: one more record without a usable id on the first page of REST model lists;
    ``version``: one more version without an id in the first model there; ``image``: one more record
    without a usable id on the first page of REST image lists."""
    false_end: int = 0
    """How many times image.getInfinite still answers an empty last page for posts."""
    empty_page_with_cursor: bool = False
    """The first page of model.getAll is empty but has a cursor."""
    repeated_cursor: bool = False
    """The last page of every list hands out its own cursor again."""
    repeated_item: bool = False
    """Each further page begins with the last row of the one before."""
    models_down: bool = False
    """The REST list of models answers 500; one model by its id is answered."""
    page_cap: int | None = None
    """Most models on a page, whatever the limit asked for."""
    posts_page_cap: int | None = None
    images_page_cap: int | None = None

    region_blocked: bool = False
    """451 for the APIs, a redirect for pages."""
    login_redirect: bool = False
    """Downloads lead everybody to the login page, as browsers are without a session."""
    login_for_downloads: bool = False
    """The site-wide setting: no download without signing in."""
    quota_after: int | None = None
    """Downloads that an account gets before 429 (without Retry-After)."""
    legacy_expires: bool = False
    """The former session cookie works only until it was exchanged."""

    expired_links: int = 0
    """How many signed links of each file are already expired when handed out."""
    link_ttl: float = 3600.0
    """Seconds that a signed link lives."""
    ignore_range: bool = False
    """Storage and media answer 200 with everything to a Range request."""
    change_etag: bool = False
    """Storage and media have another ETag at each request."""


SITE_RATES = (
    ("429", "rate_429"),
    ("503", "rate_503"),
    ("500", "rate_500"),
    ("challenge", "challenge_rate"),
    ("bad_json", "bad_json_rate"),
    ("html", "html_instead_rate"),
    ("reset", "reset_rate"),
)
BODY_RATES = (
    ("reset", "reset_rate"),
    ("truncate", "truncate_rate"),
    ("stall", "stall_rate"),
)


@dataclass(slots=True)
class Dice:
    """Decides per logical request whether it fails this time. Thread-safe."""

    faults: Faults
    asked: Counter[str] = field(default_factory=Counter)
    streak: Counter[str] = field(default_factory=Counter)
    aliases: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def roll(self, key: str, rates: tuple[tuple[str, str], ...], *, last_hop: bool) -> str:
        """Return the fault for this request, or "". ``last_hop``: a good answer ends the streak."""
        with self.lock:
            key = self.aliases.get(key, key)
            self.asked[key] += 1
            fault = self._choose(key, rates)
            if fault and self.streak[key] < self.faults.max_consecutive:
                self.streak[key] += 1
                return fault
            if last_hop:
                self.streak[key] = 0
            return ""

    def settle(self, key: str) -> None:
        """Note that the whole body went out: the logical request is over."""
        with self.lock:
            self.streak[self.aliases.get(key, key)] = 0

    def alias(self, key: str, of: str) -> None:
        """``key`` is a later hop of the logical request ``of``."""
        with self.lock:
            self.aliases[key] = of

    def _choose(self, key: str, rates: tuple[tuple[str, str], ...]) -> str:
        seed = f"{self.faults.seed}|{key}|{self.asked[key]}".encode()
        point = int.from_bytes(hashlib.blake2b(seed, digest_size=7).digest()) / 2**56
        for name, switch in rates:
            rate = float(getattr(self.faults, switch))
            if point < rate:
                return name
            point -= rate
        return ""
