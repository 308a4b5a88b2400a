"""The connection to an S3 server, by Scrapy's own settings, and what its errors mean.

boto3 is imported here only, and only when a bucket is asked for.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from civitai_crawler.exceptions import UsageError
from civitai_crawler.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.settings import BaseSettings

#: They log headers, and with them tokens and signatures, at DEBUG.
_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")
#: Connections of one client: what is uploaded at once, in parts.
CONNECTIONS = 16
#: Tries of one call; the waits between them add up to some ten seconds at most.
_TRIES = 5
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
#: Error codes of S3 servers, and what a person can do about them.
_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "401"}
_BUCKET = {"NoSuchBucket"}
DENIED = {"AccessDenied", "403", "Forbidden"}
ABSENT = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True, slots=True)
class Address:
    """``s3://bucket/prefix``, and the right that objects get."""

    bucket: str
    prefix: str
    """Empty, or with a slash at its end."""
    acl: str
    """``private`` is S3's own default and not sent: many buckets take no rights any more."""

    @classmethod
    def of(cls, settings: BaseSettings, word: str) -> Self | None:
        """Read ``FILES_STORE`` or ``IMAGES_STORE`` (*word* ``files`` or ``images``).

        ``None``: the archive's own folder. Raises UsageError for any other place.
        """
        name = f"{word.upper()}_STORE"
        uri = str(settings.get(name) or "").strip()
        if uri in ("", "."):
            return None
        bucket, prefix = _place(uri)
        if not bucket:
            raise UsageError(
                f"{name} is an address like s3://bucket/prefix, or empty for the archive's own "
                f"folder (which CIVITAI_ARCHIVE names)."
            )
        acl = str(settings.get(f"{name}_S3_ACL") or "private")
        return cls(bucket, f"{prefix}/" if prefix else "", acl)


def _place(uri: str) -> tuple[str, str]:
    """Split an address into bucket and prefix; both empty when it is none, or says more."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # a broken host in brackets
        return "", ""
    more = parts.query or parts.fragment or parts.username
    if parts.scheme != "s3" or not parts.hostname or more:
        return "", ""
    return parts.netloc, parts.path.strip("/")


def connect(settings: BaseSettings) -> Any:
    """Make a client; what the settings leave open, boto3 finds in its usual places."""
    try:
        import boto3  # noqa: PLC0415  # an optional extra
        from botocore.config import Config  # noqa: PLC0415  # as above
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # as above
    except ImportError as error:
        raise UsageError(
            "A bucket needs boto3: pip install 'civitai_crawler[s3]' (or pip install boto3)."
        ) from error
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=settings.getint("AWS_MAX_POOL_CONNECTIONS") or CONNECTIONS,
        # Every S3 server checks a signed SHA256 of what it is sent; not every one knows the newer
        # checksums that are the default.
        s3={"payload_signing_enabled": True},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client(
            "s3",
            aws_access_key_id=_text(settings, "AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=_text(settings, "AWS_SECRET_ACCESS_KEY"),
            aws_session_token=_text(settings, "AWS_SESSION_TOKEN"),
            endpoint_url=_text(settings, "AWS_ENDPOINT_URL"),
            region_name=_text(settings, "AWS_REGION_NAME"),
            use_ssl=_flag(settings, "AWS_USE_SSL"),
            verify=_verify(settings),
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"The settings AWS_* cannot be used: {error}") from error


def code_of(error: BaseException) -> str:
    """Return the code of a server's error; empty for one that never reached a server."""
    response = getattr(error, "response", None) or getattr(error.__context__, "response", None)
    code: str = response["Error"].get("Code", "") if isinstance(response, dict) else ""
    return code


@contextmanager
def told(bucket: str) -> Iterator[None]:
    """Turn errors of boto3, and what an answer lacks, into a StoreError; OSError passes."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415  # an optional extra
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # as above

    try:
        yield
    # A server that redirects everything is asked for its region without end by botocore; what one
    # that takes everything answers lacks the fields of S3.
    except (Boto3Error, BotoCoreError, ClientError, RecursionError, KeyError) as error:
        raise StoreError(_sentence(bucket, error)) from error


def _sentence(bucket: str, error: Exception) -> str:
    code = code_of(error)
    if code in _BUCKET:
        sentence = f"The S3 server has no bucket {bucket}; make it first."
    elif code in _KEY or type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        why = code or "none is set"
        sentence = f"The S3 server does not take AWS_ACCESS_KEY_ID and its secret ({why})."
    elif code in DENIED:
        sentence = f"The key in AWS_ACCESS_KEY_ID may not use the bucket {bucket} ({code})."
    elif code:
        sentence = f"The S3 server refuses the bucket {bucket} ({code})."
    elif isinstance(error, (RecursionError, KeyError)):
        sentence = f"What answers for the bucket {bucket} is no S3 server."
    else:
        why = type(error).__name__
        sentence = f"The S3 server of the bucket {bucket} cannot be reached ({why})."
    return sentence


def _text(settings: BaseSettings, name: str) -> str | None:
    value = settings.get(name)
    return str(value) if value else None


def _flag(settings: BaseSettings, name: str) -> bool | None:
    word = str(settings.get(name)).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _verify(settings: BaseSettings) -> bool | str | None:
    """Take AWS_VERIFY as Scrapy does (a bool or a file), else the certificates of all requests."""
    flag = _flag(settings, "AWS_VERIFY")
    if flag is not None:
        return flag
    return _text(settings, "AWS_VERIFY") or os.environ.get("SSL_CERT_FILE") or None
