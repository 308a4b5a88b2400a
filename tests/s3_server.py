"""A real S3 server (moto) in a process of its own, so that its memory is not the crawler's.

In tests: ``with S3Server.start(folder) as server``. In the child: ``python -m tests.s3_server
FOLDER``: every request becomes a line of ``FOLDER/requests``; ``FOLDER/faults.json`` may say what
goes wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from tests.cli import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARKER = "MARKERsecret"
KEY, SECRET, TOKEN = f"{MARKER}KEY", f"{MARKER}/secret", f"{MARKER}token"
BUCKET = "shelf"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>"


@dataclass
class S3Server:
    """A running server with an empty bucket."""

    url: str
    folder: Path

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[S3Server]:
        folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.s3_server", str(folder)],
            cwd=ROOT, env=environment(PYTHONWARNINGS="ignore"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            server = cls(process.stdout.readline().strip(), folder)
            server.client().create_bucket(Bucket=BUCKET)
            yield server
        finally:
            process.stdin.close()
            process.wait(20)
            process.stdout.close()

    def client(self, service: str = "s3", key: str = "tests", secret: str = "tests") -> Any:
        import boto3  # noqa: PLC0415  # also imported by the child, which needs none of it

        return boto3.session.Session().client(
            service, endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=key, aws_secret_access_key=secret,
        )  # fmt: skip

    def settings(self, *words: str, prefix: str = "") -> dict[str, str]:
        """Return settings that send files and originals (or only *words*) to the bucket."""
        stores = {
            f"{word.upper()}_STORE": f"s3://{BUCKET}/{prefix}"
            for word in words or ("files", "images")
        }
        return {
            **stores,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION_NAME": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
        }

    def objects(self) -> dict[str, bytes]:
        """Return the bytes of everything in the bucket by key."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun and neither completed nor aborted."""
        found = self.client().list_multipart_uploads(Bucket=BUCKET)
        return [one["Key"] for one in found.get("Uploads", ())]

    def requests(self) -> list[str]:
        """Return the requests so far: method, path with query, ``copy`` where one was asked."""
        log = self.folder / "requests"
        return log.read_text().splitlines() if log.exists() else []

    def writes(self) -> list[str]:
        """Return the requests so far that changed something in the bucket."""
        ours = [line for line in self.requests() if f"/{BUCKET}/" in line]
        return [line for line in ours if line.startswith(("PUT", "POST", "DELETE"))]

    def forget(self) -> None:
        """Begin the list of requests anew."""
        (self.folder / "requests").unlink(missing_ok=True)

    def fail(self, **faults: Any) -> None:
        """Let things go wrong from now on.

        ``deny`` and ``swallow`` take a method, ``slow`` the seconds for a part.
        """
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def wait_for(self, text: str, still: Callable[[], bool]) -> None:
        """Wait for a request with *text*, as long as *still* is true."""
        while not any(text in line for line in self.requests()):
            assert still(), self.requests()
            time.sleep(0.02)

    def ask(self, path: str, body: bytes) -> None:
        request = Request(self.url + path, body, {"Content-Type": "text/plain"})
        with urlopen(request) as answer:
            assert answer.status == 200


def _watched(app: Any, folder: Path) -> Any:
    """Wrap a WSGI application: note its requests, do the faults."""

    def watched(environ: dict[str, Any], start_response: Any) -> Any:
        faults: dict[str, Any] = {}
        if (folder / "faults.json").exists():
            faults = json.loads((folder / "faults.json").read_text())
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        copied = " copy" if "HTTP_X_AMZ_COPY_SOURCE" in environ else ""
        with (folder / "requests").open("a") as log:
            log.write(f"{method} {environ['PATH_INFO']}?{query}{copied}\n")
        if "partNumber" in query:
            time.sleep(faults.get("slow", 0))
        if method == faults.get("deny"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [_DENIED]
        if method == faults.get("swallow"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("204 No Content", [])
            return []
        return app(environ, start_response)

    return watched


def child(folder: Path) -> None:
    """Serve until standard input ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415  # child
    from werkzeug.serving import make_server  # noqa: PLC0415  # as above

    app = _watched(DomainDispatcherApplication(create_backend_app), folder)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    import threading  # noqa: PLC0415  # as above

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    child(Path(sys.argv[1]))
