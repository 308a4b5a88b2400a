"""An archive of a few records and files, for the tests of sidecars."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter

from civitai_crawler.items import FEEDS, GenerationData, Image, Model, ModelFile, ModelVersion
from civitai_crawler.sidecars import Wish, write
from civitai_crawler.sidecars.formats import MODELS
from tests.media_support import png, uuid

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.items import Record

FOLDER = "models/Reed (1)/v1 (11)"
STEM = f"{FOLDER}/reed"
MODEL = Model(
    id=1, name="Reed", type="LORA", creator="lumen_fox", tags=["style", "reed"],
    description="<p>Draws reeds.</p><p>Use <b>reed</b> &amp; wind.</p>", stats={"downloadCount": 5},
    creator_image="https://image.example.org/a.jpeg", fetched_at="2026-05-01T00:00:00Z",
)  # fmt: skip
VERSION = ModelVersion(
    id=11, model_id=1, name="v1", base_model="Illustrious", trained_words=["reed ", "wind,"],
    file_ids=[111], image_ids=[1001, 1002], fetched_at="2026-05-02T00:00:00Z",
    published_at="2026-04-01T00:00:00Z",
)  # fmt: skip
WEIGHTS = b"weights"
FILE = ModelFile(
    id=111, version_id=11, model_id=1, name="reed.safetensors", type="Model", primary=True,
    path=f"{STEM}.safetensors", size_bytes=7, sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    hashes={"SHA256": hashlib.sha256(WEIGHTS).hexdigest().upper(), "AutoV3": "0123456789AB"},
    fetched_at="2026-05-03T00:00:00Z",
)  # fmt: skip


def image(number: int, *, level: int | None = 1, ext: str = "png", **fields: Any) -> Image:
    stored = {
        "post_id": 5, "path": f"posts/5/{number}.{ext}", "uuid": uuid(number),
        "url": f"https://image.example.org/{uuid(number)}/original=true/{number}.{ext}",
        "content_type": {"mp4": "video/mp4"}.get(ext, f"image/{ext}"),
        "type": "video" if ext == "mp4" else "image", "nsfw_level": level,
    }  # fmt: skip
    return Image(id=number, **{**stored, **fields})


def making(number: int, prompt: str = "a reed, wind", **fields: Any) -> GenerationData:
    meta = {"prompt": prompt, "steps": 20, **fields.pop("meta", {})}
    return GenerationData(
        id=number, prompt_state=fields.pop("prompt_state", "present"), prompt=prompt, meta=meta,
        steps=20, **fields,
    )  # fmt: skip


def records(*given: Record) -> list[Record]:
    """Return a LoRA with two images, with *given* in place of the records of their ids."""
    base: list[Record] = [MODEL, VERSION, FILE, image(1001), image(1002), making(1001)]
    own = {(type(one), one.id): one for one in (*base, *given)}  # type: ignore[attr-defined]  # every item
    return list(own.values())


def archive(folder: Path, *given: Record, files: dict[str, bytes] | None = None) -> Path:
    """Write an archive with *given* records; every path gets a file unless *files* has it."""
    stems = {kind: stem for stem, kind in FEEDS.items()}
    given = given or tuple(records())
    for item in given:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{stems[type(item)]}.jsonl").open("a", encoding="utf-8") as feed:
            feed.write(json.dumps(plain(item), ensure_ascii=False) + "\n")
        path = getattr(item, "path", None)
        if path:
            content = WEIGHTS if isinstance(item, ModelFile) else png(str(item.id))  # type: ignore[attr-defined]  # every item
            put(folder, path, (files or {}).get(path, content))
    return folder


def plain(item: Record) -> dict[str, Any]:
    return dict(ItemAdapter(dataclasses.asdict(item)))


def put(folder: Path, path: str, content: bytes) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def run(folder: Path, *formats: str, said: list[str] | None = None, **wish: Any) -> Any:
    """Write the sidecars; nothing may be told unless *said* takes it."""
    told: list[str] = [] if said is None else said
    if formats:
        wish["formats"] = formats
    outcome = write(folder, Wish(**wish), told.append, again=True)
    assert said is not None or told == []
    return outcome


def read(folder: Path, name: str, stem: str = STEM) -> Any:
    """Return the content of a sidecar of the LoRA."""
    return json.loads((folder / f"{stem}{MODELS[name].ending}").read_text("utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below *folder* but the note, with its content."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".sidecars.json"
    }
