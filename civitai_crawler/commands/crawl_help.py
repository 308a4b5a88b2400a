"""What ``scrapy crawl SPIDER --help`` says: the arguments of a spider, as its class tells them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Spider

#: What every spider takes.
_COMMON = "fresh: true starts anew; old feeds are set aside, downloaded files are kept"


def told(spider: type[Spider]) -> Iterator[str]:
    """Yield the lines about one spider."""
    title, _, rest = (inspect.getdoc(spider) or "").partition("\n")
    parameters = inspect.signature(spider.__init__).parameters.values()
    needed = [
        f" -a {each.name}=..."
        for each in parameters
        if each.kind is each.KEYWORD_ONLY and each.default is each.empty
    ]
    yield f"scrapy crawl {spider.name}{''.join(needed)}"
    yield f"    {title}"
    yield "    Arguments, each as -a name=value:"
    for line in [*filter(None, rest.splitlines()), _COMMON]:
        yield f"      {line}"
