"""An archive whose creator means harm: every text is an attack, every path leads elsewhere."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from PIL import Image as Pillow

from civitai_crawler.items import (
    FEEDS,
    Creator,
    Failure,
    GenerationData,
    Image,
    Model,
    ModelFile,
    ModelVersion,
    Post,
    Record,
    Resource,
)

if TYPE_CHECKING:
    from pathlib import Path

#: Each tries to run ``pwn()``, to load from elsewhere, or to break out of where it stands.
ATTACKS = (
    "<script>pwn()</script>",
    "<img src=x onerror=pwn()>",
    '"><svg onload=pwn()>',
    "' onmouseover='pwn()' autofocus onfocus='pwn()' x='",
    '<a href="javascript:pwn()">x</a><a href=" jAvAsCrIpT&#58;pwn()">y</a>',
    '<iframe srcdoc="<script>parent.pwn()</script>"></iframe>',
    "</textarea></title></style></script><script>pwn()</script>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;<img src=1 onerror=pwn()>'>",
    "<img src='http://127.0.0.1:9/a.png'><link rel=stylesheet href='http://127.0.0.1:9/a.css'>",
    '<form action="http://127.0.0.1:9/"><button autofocus>x</button></form>',
    '<base href="http://127.0.0.1:9/"><meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">',
    "<p style=\"background:url('http://127.0.0.1:9/b.png')\" class=toast id=prompt>y</p>",
    "{{ 7*7 }}{% raw %}<x>{{ ''.__class__ }}",
    "\u202e\u0000<SCRIPT/x>pwn()</SCRIPT>",
)
ALL = "".join(ATTACKS)
#: Paths that no file of the archive has, and what lies there.
PATHS = (
    "../secret.png",
    "posts/../../secret.png",
    "/etc/passwd",
    "posts/out/secret.png",
    "posts/link.png",
    "posts/loop.png",
    ".job/ledger.sqlite",
    "posts/.hidden/1.png",
    "posts",
    "nul\0.png",
    "x" * 5000,
    "..\\secret.png",
)
#: Types that browsers would run, with bytes that they would run.
PAGES = {
    "text/html": b"<!doctype html><script>pwn()</script>",
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg"><script>pwn()</script></svg>',
    "application/xhtml+xml": b'<html xmlns="http://www.w3.org/1999/xhtml"/>',
    "text/javascript": b"pwn()",
    "image/png; charset=x": b"<script>pwn()</script>",
}
MADE = "2026-01-01T00:00:00Z"


def _armed(kind: type[Record], number: int, /, **given: Any) -> Record:
    """Return a record with an attack in every text, and in every list and mapping."""
    values: dict[str, Any] = {}
    for one in fields(kind):
        hint = get_type_hints(kind)[one.name]
        if hint in (str, str | None):
            values[one.name] = ALL
        elif str(hint).startswith("list[str"):
            values[one.name] = list(ATTACKS)
        elif str(hint).startswith("list[dict"):
            values[one.name] = [{"name": ALL, "url": attack, ALL: ALL} for attack in ATTACKS]
        elif str(hint).startswith("dict"):
            values[one.name] = dict.fromkeys(ATTACKS, ALL)
    if "path" in values:
        values["path"] = None
    return kind(**{**values, "id": number, **given})


def _resources() -> list[Resource]:
    known = Resource(version_id=20, model_id=10, model_name=ALL, type=ALL, strength=0.5)
    return [known, *(Resource(model_name=one, version_name=one, type=one) for one in ATTACKS)]


def write(folder: Path) -> Path:
    """Make the archive *folder*, with files beside it that it must not show."""
    (folder / "posts" / ".hidden").mkdir(parents=True)
    (folder / ".job").mkdir()
    still = io.BytesIO()
    Pillow.new("RGB", (40, 60), "teal").save(still, "png")
    (folder.parent / "secret.png").write_bytes(still.getvalue())
    for path in ("posts/1.png", "posts/.hidden/1.png", ".job/ledger.sqlite"):
        (folder / path).write_bytes(still.getvalue())
    (folder / "posts" / "out").symlink_to(folder.parent)
    (folder / "posts" / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "posts" / "inside.png").symlink_to("1.png")
    (folder / "posts" / "loop.png").symlink_to("loop.png")
    _feeds(folder, [*_people(), *_images(folder)])
    (folder / "report.json").write_text(
        json.dumps({"verdict": {"word": ALL, "sentence": ALL}, "at": ALL, "kinds": {ALL: {}}})
    )
    return folder


def _people() -> list[Record]:
    return [
        _armed(Creator, 1, username=ALL),
        _armed(Model, 10, creator=ALL, creator_id=1),
        _armed(ModelVersion, 20, creator=ALL, model_id=10),
        _armed(ModelFile, 30, version_id=20, model_id=10, hashes={"SHA256": ALL}),
        _armed(Post, 40, creator=ALL, version_id=20),
        _armed(Failure, 50, kind=ALL, model_id=10),
    ]


def _images(folder: Path) -> list[Record]:
    shown = {"post_id": 40, "creator": ALL, "type": "image", "created_at": MADE}
    png = {**shown, "content_type": "image/png"}
    images = [_armed(Image, 1, **{**png, "path": "posts/1.png", "version_id": 20})]
    images += [_armed(Image, 2, **{**png, "path": "posts/inside.png"})]
    images += [_armed(Image, 100 + at, **{**png, "path": path}) for at, path in enumerate(PATHS)]
    for at, (mime, body) in enumerate(PAGES.items()):
        (folder / "posts" / f"{200 + at}.png").write_bytes(body)
        path = f"posts/{200 + at}.png"
        images.append(_armed(Image, 200 + at, **{**shown, "content_type": mime, "path": path}))
    made = {"creator": ALL, "post_id": 40, "resources": _resources(), "comfy": ALL}
    return [*images, _armed(GenerationData, 1, **made, embedded={})]


def _feeds(folder: Path, records: list[Record]) -> None:
    for stem, kind in FEEDS.items():
        lines = [json.dumps(asdict(record)) for record in records if type(record) is kind]
        (folder / f"{stem}.jsonl").write_text("".join(line + "\n" for line in lines))
