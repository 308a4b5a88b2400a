"""Files in a bucket: uploaded from the local disk in parts once they are checked.

Each object carries the SHA256 of its bytes as metadata, so that a later run can tell by one small
request that it is whole. An upload makes an object at its very end or not at all.
"""

from __future__ import annotations

import errno
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from civitai_crawler.handlers.partfile import discard
from civitai_crawler.stores.base import Found, Reading, StoreError
from civitai_crawler.stores.client import ABSENT, DENIED, code_of, told
from civitai_crawler.stores.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from civitai_crawler.ledger import Media
    from civitai_crawler.stores.client import Address

#: Metadata of an object: the hash of its bytes.
_SHA256 = "sha256"
#: Bytes of a part of an upload, and of the smallest file that is sent in parts.
PART = 16 << 20
#: Parts of one file that are under way at once, and files at once.
_PARTS, _FILES = 3, 4
#: Larger objects cannot be copied by a single call.
_ONE_COPY = 4 << 30
_BLOCK = 1 << 20


class S3Store:
    """Objects below ``<prefix>/<archive>/``.

    :param client: boto3's, safe in threads.
    :param archive: name of the archive's folder.
    """

    remote = True

    def __init__(self, client: Any, address: Address, archive: str) -> None:
        self._client = client
        self._bucket = address.bucket
        self._root = f"{address.prefix}{archive}/"
        self._acl = {} if address.acl == "private" else {"ACL": address.acl}
        self.threads = ThreadPoolExecutor(_FILES, thread_name_prefix="s3")

    def holds(self, media: Media) -> bool:
        """Ask for the size and the noted hash; another program that put it there noted none."""
        found = self.found(media.path)
        return found is not None and found in (
            (media.size, media.sha256),
            (media.size, ""),
        )

    def found(self, path: str) -> Found | None:
        with told(self._bucket):
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=self._root + path)
            except self._client.exceptions.ClientError as error:
                # Who may not list a bucket is denied what is not there; a wrong key shows when
                # something is sent.
                if code_of(error) in ABSENT | DENIED:
                    return None
                raise
        return Found(head["ContentLength"], head["Metadata"].get(_SHA256, ""))

    def put(self, part: Path, media: Media, check: Callable[[], None]) -> None:
        """Upload unless the object is there already; the part goes when the object is whole."""
        if self.found(media.path) != (media.size, media.sha256):
            if media.size <= PART:
                self._put_whole(part, media)
            else:
                self._put_parts(part, media, check)
        discard(part)

    def _put_whole(self, part: Path, media: Media) -> None:
        # boto3's transfer leaves a file open that it could not send.
        with told(self._bucket), part.open("rb") as body:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=self._root + media.path, Body=body, **self._facts(media)
            )
            answer["ETag"]  # which every S3 server gives to what it has stored

    def _put_parts(self, part: Path, media: Media, check: Callable[[], None]) -> None:
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415  # an optional extra

        self._abort_left(media)
        parts = TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=_PARTS
        )
        with self._long(check):
            self._client.upload_file(
                str(part),
                self._bucket,
                self._root + media.path,
                ExtraArgs=self._facts(media),
                Callback=lambda _: check(),
                Config=parts,
            )

    def share(
        self, held: Media, media: Media, aside: Path, check: Callable[[], None], *, copy: bool
    ) -> str | None:
        """Have the server copy the object: nothing is sent."""
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415  # an optional extra

        if self.found(held.path) != (held.size, held.sha256):
            return None
        with self._long(check):
            self._client.copy(
                {"Bucket": self._bucket, "Key": self._root + held.path},
                self._bucket,
                self._root + media.path,
                ExtraArgs={**self._facts(media), "MetadataDirective": "REPLACE"},
                Callback=lambda _: check(),
                Config=TransferConfig(multipart_threshold=_ONE_COPY, max_concurrency=_PARTS),
            )
        return "copied"

    def missing(self, paths: Iterable[str]) -> set[str]:
        wanted = set(paths)
        if not wanted:
            return wanted
        try:
            return wanted.difference(self.paths())
        except StoreError as error:
            if code_of(error.__cause__ or error) in DENIED:
                return set()  # one may be allowed to write and not to list
            raise

    def paths(self) -> Iterator[str]:
        with told(self._bucket):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._root):
                for one in page.get("Contents", ()):
                    yield one["Key"].removeprefix(self._root)

    @contextmanager
    def stream(self, path: str) -> Iterator[Reading]:
        answer, length = self._get(path)
        with closing(answer) as body:
            yield Reading(length, self._blocks(body))

    @contextmanager
    def pieces(self, path: str) -> Iterator[Callable[[int, int], bytes]]:
        def fetch(at: int, length: int) -> bytes:
            answer, _ = self._get(path, Range=f"bytes={at}-{at + length - 1}")
            with closing(answer) as body:
                return b"".join(self._blocks(body))

        found = self.found(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", self.name(path))
        yield Window(fetch, found.size).read

    @contextmanager
    def at_hand(self, path: str) -> Iterator[Path]:
        """Fetch the object into a file that is gone afterwards."""
        with self.stream(path) as reading, tempfile.NamedTemporaryFile() as file:
            for block in reading.blocks:
                file.write(block)
            file.flush()
            yield Path(file.name)

    def name(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._root}{path}"

    def close(self) -> None:
        self.threads.shutdown(wait=False)

    def _facts(self, media: Media) -> dict[str, Any]:
        kind = {"ContentType": media.content_type} if media.content_type else {}
        return {"Metadata": {_SHA256: media.sha256}, **kind, **self._acl}

    def _abort_left(self, media: Media) -> None:
        """Drop the parts that a killed upload of this file has left: nobody else would."""
        key = self._root + media.path
        with told(self._bucket):
            try:
                left = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
            except self._client.exceptions.ClientError as error:
                if code_of(error) in DENIED | {"NotImplemented"}:
                    return
                raise
            for upload in left.get("Uploads", ()):
                if upload["Key"] == key:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=upload["UploadId"]
                    )

    @contextmanager
    def _long(self, check: Callable[[], None]) -> Iterator[None]:
        """Let what *check* raises out: boto3 takes it for an error of the connection."""
        try:
            with told(self._bucket):
                yield
        except StoreError:
            check()
            raise

    def _get(self, path: str, **more: str) -> tuple[Any, int]:
        """Ask for an object, or a range of it; gives its body and how long that is."""
        with told(self._bucket):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._root + path, **more)
                return answer["Body"], answer["ContentLength"]
            except self._client.exceptions.NoSuchKey as error:
                raise FileNotFoundError(
                    errno.ENOENT, "there is no such object", self.name(path)
                ) from error

    def _blocks(self, body: Any) -> Iterator[bytes]:
        with told(self._bucket):
            yield from body.iter_chunks(_BLOCK)
