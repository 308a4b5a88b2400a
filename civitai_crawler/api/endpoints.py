"""REST calls and HTML pages: one function per address.

Each returns path and query, beginning with ``/`` and without a host: the caller joins its base URL.
Parameters come in a fixed order and everything is percent-encoded, so that equal arguments always
make the same address. What is ``None`` or empty is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: All maturity levels together: PG 1, PG-13 2, R 4, X 8, XXX 16.
ALL_LEVELS = 31


def me() -> str:
    """Address who the credentials belong to; answers 401 without any."""
    return "/api/v1/me"


def models(  # noqa: PLR0913  # one keyword per query parameter
    *,
    username: str | None = None,
    limit: int = 100,
    cursor: str | int | None = None,
    nsfw: bool | None = None,
    archived: bool = False,
    sort: str | None = "Oldest",
    types: Sequence[str] = (),
    base_models: Sequence[str] = (),
    ids: Sequence[int] = (),
) -> str:
    """Address one page of models, at most 100.

    ``nsfw`` absent or false gives PG only, true gives every level but leaves out some tags: neither
    holds the other. The server takes any text in ``archived`` for true, hence it is sent only when
    true; the answer then holds both kinds. Only ``Oldest`` neither loses nor moves models at page
    edges. Several ``types`` or ``base_models`` repeat the key: comma lists are refused there.
    """
    return _address(
        "/api/v1/models",
        [
            ("username", username),
            ("ids", ",".join(str(id_) for id_ in ids) or None),
            *(("types", name) for name in types),
            *(("baseModels", name) for name in base_models),
            ("sort", sort),
            ("nsfw", nsfw),
            ("archived", archived or None),
            ("limit", limit),
            ("cursor", cursor),
        ],
    )


def model(model_id: int) -> str:
    """Address one model with its versions, files and showcase images."""
    return f"/api/v1/models/{model_id:d}"


def model_version(version_id: int) -> str:
    """Address one version with its files and at most ten images."""
    return f"/api/v1/model-versions/{version_id:d}"


def model_version_by_hash(hash_: str) -> str:
    """Address the version of a file by any of its hashes (AutoV1-3, SHA256, CRC32, BLAKE3)."""
    return "/api/v1/model-versions/by-hash/" + quote(hash_, safe="")


def images(  # noqa: PLR0913  # one keyword per query parameter
    *,
    model_version_id: int | None = None,
    model_id: int | None = None,
    post_id: int | None = None,
    image_id: int | None = None,
    username: str | None = None,
    limit: int = 200,
    cursor: str | int | None = None,
    browsing_level: int | None = ALL_LEVELS,
    with_meta: bool = True,
    flat_meta: bool = True,
    sort: str | None = None,
) -> str:
    """Address one page of images, at most 200.

    Without ``browsing_level`` the answer is PG only, without ``with_meta`` every ``meta`` is null.
    ``model_id`` alone is slow on the server and may come back empty: ask per version.
    """
    return _address(
        "/api/v1/images",
        [
            ("modelVersionId", model_version_id),
            ("modelId", model_id),
            ("postId", post_id),
            ("imageId", image_id),
            ("username", username),
            ("sort", sort),
            ("browsingLevel", browsing_level),
            ("withMeta", with_meta or None),
            ("flatMeta", flat_meta or None),
            ("limit", limit),
            ("cursor", cursor),
        ],
    )


def download(
    version_id: int,
    *,
    file_id: int | None = None,
    type_: str | None = None,
    format_: str | None = None,
    size: str | None = None,
    fp: str | None = None,
) -> str:
    """Address a file of a version: the answer redirects to short-lived storage.

    Nothing given means the primary file. ``file_id`` names one file exactly; the others are matched
    with preferences that an account may change. A linked VAE is no file of this version and has to
    be asked for by ``type_``.
    """
    return _address(
        f"/api/download/models/{version_id:d}",
        [("type", type_), ("format", format_), ("size", size), ("fp", fp), ("fileId", file_id)],
    )


def post_page(post_id: int) -> str:
    """Address the HTML page of a post."""
    return f"/posts/{post_id:d}"


def image_page(image_id: int) -> str:
    """Address the HTML page of an image."""
    return f"/images/{image_id:d}"


def _address(path: str, pairs: Iterable[tuple[str, object]]) -> str:
    query = urlencode(
        [(key, _text(value)) for key, value in pairs if value is not None], quote_via=quote, safe=""
    )
    return f"{path}?{query}" if query else path


def _text(value: object) -> str:
    """Write a query value as the server reads it: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
