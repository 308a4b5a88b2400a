"""A file host that makes its bytes while it sends them, and tells when a byte has been sent.

Between the stand-in's site and a crawl: the links lead here instead of to its own storage. No
more than so many bytes are sent ahead of what the client has on disk, so that what a kill costs
depends on the client alone, on a busy machine too.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from civitai_crawler.standin.records import File

#: Seconds after which a client that takes nothing is left.
PATIENCE = 60.0


@dataclass
class Storage:
    """What the host does, and what it has seen."""

    files: dict[int, File]
    big: File
    part: Path
    """Where the client gathers the big file."""
    line: int = 8 << 20
    """Bytes that are under way at most."""
    ranges: bool = True
    etag: str = '"one"'
    published: bool = True
    """The bytes are those of the published hash; else others of the same length."""
    refusals: list[int] = field(default_factory=list)
    """Statuses of the next answers, as expired links get them; 0 is none."""
    stop_at: int | None = None
    """Offset in the big file behind which nothing more is sent."""
    cut_at: int | None = None
    """Offset at which the connection is closed, once."""
    reached: threading.Event = field(default_factory=threading.Event)
    """``stop_at`` has been sent."""
    sent: int = 0
    """Bytes of the big file, over all requests."""
    starts: list[int] = field(default_factory=list)
    """Offset of the first byte of each answer with the big file."""
    expired: int = 0
    """Answers that called a link expired."""

    def stop_behind(self, offset: int) -> None:
        self.reached.clear()
        self.stop_at = offset

    def pieces(self, file: File, start: int) -> Iterator[bytes]:
        for piece in payload.pieces(file, start):
            yield piece if self.published or file is not self.big else bytes(len(piece))

    def on_disk(self) -> int:
        with suppress(FileNotFoundError):
            return self.part.stat().st_size
        return 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        storage = self.server.storage
        file = storage.files[int(self.path.partition("?")[0].rpartition("/")[2])]
        if file is storage.big and (refusal := storage.refusals and storage.refusals.pop(0)):
            storage.expired += 1
            self._head(refusal, {"Content-Length": "0"})
            return
        start = self._start(storage)
        headers = {"ETag": storage.etag, "Content-Length": str(file.size - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{file.size - 1}/{file.size}"
        if start and start == file.size:
            headers = {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"}
            self._head(416, headers)
            return
        self._head(206 if start else 200, headers)
        self.close_connection = True
        with suppress(ConnectionError):
            if file is storage.big:
                storage.starts.append(start)
                self._send_big(storage, start)
            else:
                for piece in storage.pieces(file, 0):
                    self.wfile.write(piece)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _start(self, storage: Storage) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not found or not storage.ranges or self.headers.get("If-Range") != storage.etag:
            return 0
        return int(found[1])

    def _send_big(self, storage: Storage, offset: int) -> None:
        for piece in storage.pieces(storage.big, offset):
            if not self._room(storage, offset):
                return
            stop = storage.stop_at if storage.stop_at is not None else storage.big.size
            sent = piece[: max(stop - offset, 0)]
            self.wfile.write(sent)
            storage.sent += len(sent)
            offset += len(sent)
            if storage.cut_at is not None and offset >= storage.cut_at:
                storage.cut_at = None
                return
            if storage.stop_at is not None and offset >= storage.stop_at:
                storage.reached.set()
                self.connection.settimeout(PATIENCE)
                self.connection.recv(1)  # until the client is dead
                return

    def _room(self, storage: Storage, offset: int) -> bool:
        """Wait until the line has room."""
        end = time.monotonic() + PATIENCE
        # A part of an earlier state may be longer: then it is about to be emptied.
        while not offset - storage.line <= storage.on_disk() <= offset:
            if time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    storage: Storage

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that were killed."""


@contextmanager
def serve(storage: Storage) -> Iterator[str]:
    """Serve *storage* from threads; gives the base URL."""
    with _Server(("127.0.0.5", 0), _Handler) as server:
        server.storage = storage
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.5:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
