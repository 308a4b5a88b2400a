"""An embedded Civitai for demo and tests: real sockets, the site's quirks, fault switches."""

from __future__ import annotations

from civitai_crawler.standin.faults import Faults
from civitai_crawler.standin.log import Entry, Log
from civitai_crawler.standin.server import Standin
from civitai_crawler.standin.state import Accounts
from civitai_crawler.standin.world import World

__all__ = ["Accounts", "Entry", "Faults", "Log", "Standin", "World"]
