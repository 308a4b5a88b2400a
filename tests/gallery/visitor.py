"""Asks a gallery in plain HTTP: paths go out as they are given, nothing is followed."""

from __future__ import annotations

import html
import http.client
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def addresses(self) -> list[str]:
        """All that the page links to or loads."""
        found = re.findall(r'(?:href|src|data-src)="([^"]*)"', self.text)
        return [html.unescape(address) for address in found]

    @property
    def cards(self) -> list[int]:
        """Ids of the things that it lists, in their order."""
        return [int(number) for number in re.findall(r'data-id="(\d+)"', self.text)]


class Visitor:
    def __init__(self, port: int) -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def total(self, path: str) -> int:
        """Return how many images the list at *path* says it has."""
        found = re.search(r"data-total>([\d,]+)<", self.get(path).text)
        assert found, path
        return int(found[1].replace(",", ""))
