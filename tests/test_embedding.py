"""Copies with generation data inside: the picture stays, and what is in it others can read."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from sd_parsers import ParserManager

from civitai_crawler.api import parameters, parsers
from civitai_crawler.api.containers import texts
from civitai_crawler.api.embedded import of_bytes
from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import GenerationData, Record, Resource
from civitai_crawler.sidecars import generation_text
from civitai_crawler.sidecars.embedding import Copied, embed
from civitai_crawler.sidecars.splicing import NoPlaceError, spliced
from tests.cli import scrapy
from tests.sidecar_support import archive, image, tree

META = {
    "prompt": "a reed, (wind:1.2)\nsecond line, тростник 🌾 <lora:reed:0.8>",
    "negativePrompt": "blurry: text, bad",
    "steps": 28,
    "sampler": "DPM++ 2M Karras",
    "cfgScale": 5.5,
    "seed": 17739416935733250000,
    "clipSkip": 2,
    "Size": "832x1216",
    "Model": "paper, boat",
    "Model hash": "9F1C0A77B3",
    "Note": 'a, b: "c"\nd',
    "Version": "v1.10.1",
}
GRAPH = {"3": {"class_type": "KSampler", "inputs": {"seed": 5, "text": "a reed é"}}}
COMFY = {"prompt": GRAPH, "workflow": {"nodes": [{"id": 3}], "links": []}}
FORMATS = ("png", "jpeg", "webp", "lossless")


def generation(**more: Any) -> GenerationData:
    found = parsers.generation_data({"meta": {**META, **more}}, image_id=1001)
    found.resources = [
        Resource(version_id=7, type="LORA", model_name="Reed", version_name="v1", strength=0.8),
        Resource(type="LORA", model_name="unknown"),
    ]
    return found


def picture(form: str, **more: Any) -> bytes:
    out = io.BytesIO()
    noise = hashlib.shake_256(b"picture").digest(40 * 30 * 4)
    drawn = Pillow.frombytes("RGBA", (40, 30), noise)
    if form in ("jpeg", "webp"):
        drawn = drawn.convert("RGB")
    name = {"lossless": "webp"}.get(form, form)
    drawn.save(out, name, lossless=form == "lossless", **more)
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    with Pillow.open(io.BytesIO(data)) as opened:
        return opened.convert("RGBA").tobytes()


def suffix(form: str) -> str:
    return {"lossless": "webp"}.get(form, form)


def copied(tmp_path, form, data, *records: Record, told=None) -> tuple[bytes, Copied]:
    """Return the copy of an archive's only image, and what was counted."""
    shown = image(1001, ext=suffix(form))
    folder = archive(tmp_path / "archive", shown, *records, files={shown.path or "": data})
    before = tree(folder)
    said: list[str] = []
    outcome = embed(folder, tmp_path / "copies", said.append)
    assert tree(folder) == before
    assert said == (told or [])
    return (tmp_path / "copies" / (shown.path or "")).read_bytes(), outcome


@pytest.mark.parametrize("form", FORMATS)
def test_others_read_what_is_in_a_copy(tmp_path, form):
    data = picture(form)
    copy, outcome = copied(tmp_path, form, data, generation())
    assert (outcome.embedded, outcome.plain, outcome.problems) == (1, 0, 0)
    assert pixels(copy) == pixels(data)
    found = ParserManager().parse(tmp_path / "copies" / "posts" / "5" / f"1001.{suffix(form)}")
    assert found is not None
    (prompt,), (negative,) = found.prompts, found.negative_prompts
    assert prompt.value == META["prompt"]
    assert negative.value == META["negativePrompt"]
    (sampler,) = found.samplers
    assert (sampler.name, sampler.parameters["seed"]) == (META["sampler"], str(META["seed"]))
    assert sampler.parameters["steps"] == "28"


@pytest.mark.parametrize("form", FORMATS)
def test_we_read_what_is_in_a_copy(tmp_path, form):
    copy, _ = copied(tmp_path, form, picture(form), generation())
    found = of_bytes(copy)
    assert found is not None
    assert {key: found.parameters.get(key) for key in META} == META
    assert found.parameters["civitaiResources"] == [
        {"type": "lora", "modelVersionId": 7, "weight": 0.8, "modelName": "Reed",
         "modelVersionName": "v1"}
    ]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_graphs_of_comfyui_are_where_it_looks(tmp_path, form):
    copy, _ = copied(tmp_path, form, picture(form), generation(comfy=json.dumps(COMFY)))
    found = of_bytes(copy)
    assert found is not None
    assert found.comfy == COMFY
    assert found.parameters["prompt"] == META["prompt"]
    if form == "png":
        with Pillow.open(io.BytesIO(copy)) as opened:
            info = opened.info
        assert json.loads(info["prompt"]) == COMFY["prompt"]
        assert json.loads(info["workflow"]) == COMFY["workflow"]
    else:
        with Pillow.open(io.BytesIO(copy)) as opened:
            tags = opened.getexif()
        assert tags[0x0110] == "prompt:" + json.dumps(GRAPH)


@pytest.mark.parametrize("form", FORMATS)
def test_every_byte_of_the_picture_is_copied_as_it_is(tmp_path, form):
    data = picture(form)
    copy, _ = copied(tmp_path, form, data, generation())
    if form == "png":
        assert copy[:33] == data[:33]
        assert copy.endswith(data[33:])
    elif form == "jpeg":
        assert copy[:20] == data[:20]
        assert copy.endswith(data[20:])
    else:
        assert data[12:] in copy
        assert int.from_bytes(copy[4:8], "little") == len(copy) - 8
        assert copy[12:16] == b"VP8X"
        assert copy[20] & 0x08  # says that there is EXIF


def test_what_the_file_tells_itself_is_not_doubled(tmp_path):
    own = PngInfo()
    own.add_text("parameters", "own words\nSteps: 5")
    data = picture("png", pnginfo=own)
    copy, outcome = copied(tmp_path, "png", data, generation())
    assert copy == data
    assert (outcome.embedded, outcome.plain) == (0, 1)


def test_a_graph_in_the_file_is_kept_and_the_text_added(tmp_path):
    own = PngInfo()
    own.add_text("prompt", json.dumps(GRAPH))
    copy, _ = copied(tmp_path, "png", picture("png", pnginfo=own), generation(comfy=COMFY))
    assert copy.count(b"tEXtprompt") == 1
    assert copy.count(b"tEXtworkflow") == 1
    found = of_bytes(copy)
    assert found is not None
    assert found.parameters["seed"] == META["seed"]


@pytest.mark.parametrize("form", ["jpeg", "webp", "lossless"])
def test_exif_that_is_there_is_added_to(tmp_path, form):
    camera = Pillow.Exif()
    camera[0x0131] = "some editor"
    camera.get_ifd(0x8769)[0x9003] = "2026:05:01 10:00:00"
    data = picture(form, exif=camera)
    copy, _ = copied(tmp_path, form, data, generation())
    assert pixels(copy) == pixels(data)
    with Pillow.open(io.BytesIO(copy)) as opened:
        tags = opened.getexif()
    assert tags[0x0131] == "some editor"
    assert tags.get_ifd(0x8769)[0x9003] == "2026:05:01 10:00:00"
    assert tags.get_ifd(0x8769)[0x9286].startswith(b"UNICODE\0")


@pytest.mark.parametrize("form", ["webp", "lossless"])
def test_profiles_and_xmp_of_webp_stay(tmp_path, form):
    data = picture(form, icc_profile=b"profile!", xmp=b"<x:xmpmeta/>")
    copy, _ = copied(tmp_path, form, data, generation())
    with Pillow.open(io.BytesIO(copy)) as opened:
        assert (opened.info["icc_profile"], opened.info["xmp"]) == (b"profile!", b"<x:xmpmeta/>")
    assert copy[20] == data[20] | 0x08
    assert pixels(copy) == pixels(data)


def test_a_jpeg_holds_the_text_where_the_graphs_are_too_large(tmp_path):
    large = {"prompt": GRAPH, "workflow": {"nodes": ["x" * 70_000]}}
    copy, _ = copied(tmp_path, "jpeg", picture("jpeg"), generation(comfy=large))
    found = of_bytes(copy)
    assert found is not None
    assert found.comfy == {"prompt": GRAPH}
    assert found.parameters["steps"] == 28


def test_a_text_without_room_costs_the_text_and_is_told(tmp_path):
    data = picture("jpeg")
    why = "posts/5/1001.jpeg: the text is longer than a JPEG can hold"
    long = generation(prompt="reed " * 20_000)
    copy, outcome = copied(tmp_path, "jpeg", data, long, told=[why])
    assert copy == data
    assert (outcome.plain, outcome.problems) == (1, 1)


@pytest.mark.parametrize("state", ["hidden", "absent", None])
def test_what_is_hidden_or_unknown_is_not_written(tmp_path, state):
    data = picture("png")
    known = generation(comfy=COMFY)
    known.comfy = COMFY if state == "hidden" else None
    known.prompt_state = state or ""
    copy, outcome = copied(tmp_path, "png", data, *([known] if state else []))
    assert copy == data
    assert outcome.plain == 1


def test_videos_are_left_out_and_a_missing_original_is_told(tmp_path):
    video = image(1001, ext="mp4")
    gone = image(1002)
    folder = archive(tmp_path / "archive", video, gone,
                     files={video.path or "": b"\0\0\0\x20ftypisom"})  # fmt: skip
    (folder / (gone.path or "")).unlink()
    said: list[str] = []
    outcome = embed(folder, tmp_path / "copies", said.append)
    assert outcome.problems == len(said) == 1
    assert not (tmp_path / "copies").exists()


def test_a_full_disk_is_told_and_keeps_no_half_files(tmp_path, full_disk):
    folder = archive(tmp_path / "archive", image(1001), files={"posts/5/1001.png": picture("png")})
    said: list[str] = []
    with full_disk():
        outcome = embed(folder, tmp_path / "copies", said.append)
    assert outcome.problems == len(said) == 1
    assert tree(tmp_path / "copies") == {}


def test_an_archive_that_cannot_be_read_is_told_in_a_sentence(tmp_path):
    folder = archive(tmp_path / "archive", image(1001))
    (folder / ".sidecars.json").mkdir()
    ended = scrapy("sidecars", str(folder), "--embed", str(tmp_path / "copies"))
    assert (ended.code, ended.log.strip()) == (3, f"{folder}: Is a directory")


@pytest.mark.parametrize("place", ["", "posts", ".."])
def test_copies_never_go_where_originals_are(tmp_path, place):
    folder = archive(tmp_path / "archive", image(1001), generation())
    before = tree(folder)
    with pytest.raises(UsageError, match="the originals are there"):
        embed(folder, folder / place, print)
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("container", "data"),
    [
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(40)),
        ("jpeg", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9)),
        ("webp", b"RIFF\x04\0\0\0WEBP"),
        ("webp", b"RIFF\x99\0\0\0WEBPVP8 \xff\0\0\0"),
        ("webp", b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\0\0\x05\0"),
        ("webp", b"RIFF\x16\0\0\0WEBPABCD\x0a\0\0\0" + bytes(10)),
    ],
)
def test_a_broken_file_raises_nothing_else(container, data: bytes):
    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    try:
        pieces = spliced(container, read, len(data), {"parameters": "a reed\nSteps: 2"})
    except NoPlaceError:
        return
    assert container == "jpeg"
    whole = b"".join(p if isinstance(p, bytes) else data[p[0] : p[1]] for p in pieces)
    assert texts(lambda at, length: whole[at : at + length])[1]["UserComment"]


def test_the_text_says_what_the_site_says():
    text = generation_text.parameters(generation(hashes={"model": "9F1C0A77B3"}, width=8, height=9))
    assert text is not None
    lines = text.splitlines()
    assert lines[2] == "Negative prompt: blurry: text, bad"
    assert lines[3].startswith(
        "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 5.5, Seed: 17739416935733250000, "
        'Size: 832x1216, Model hash: 9F1C0A77B3, Model: "paper, boat", Clip skip: 2, Note: '
    )
    parsed = parameters.parse(text)
    assert {key: parsed.get(key) for key in META} == META
    assert parsed["hashes"] == {"model": "9F1C0A77B3"}


def test_the_size_follows_from_its_sides():
    meta = {"width": 8, "height": 9}
    made = GenerationData(id=1, prompt_state="present", prompt="a", steps=5, meta=meta)
    assert generation_text.parameters(made) == "a\nSteps: 5, Size: 8x9"


@pytest.mark.parametrize("negative", [None, "blurry"])
def test_what_no_reader_tells_from_the_prompt_is_left_out(negative):
    """A line without steps: AUTOMATIC1111 takes less than three pairs for words of the prompt."""
    made = GenerationData(
        id=1, prompt_state="present", prompt="a reed", negative_prompt=negative, seed=5,
        meta={"width": 8, "height": 9},
    )  # fmt: skip
    assert parameters.parse(generation_text.parameters(made) or "") == {
        "prompt": "a reed", **({"negativePrompt": negative} if negative else {}),
    }  # fmt: skip
    made.sampler = "Euler"
    text = generation_text.parameters(made)
    assert text is not None
    assert text.endswith("\nSampler: Euler, Seed: 5, Size: 8x9")


def test_the_command_makes_copies(tmp_path):
    stored = image(1001)
    files = {stored.path or "": picture("png")}
    folder = archive(tmp_path / "lumen", stored, generation(), files=files)
    ended = scrapy("sidecars", str(folder), "--embed", str(tmp_path / "copies"))
    assert ended.code == 0, ended.log
    assert "1 images copied with their generation data added" in ended.log
    copy = (tmp_path / "copies" / "lumen" / (stored.path or "")).read_bytes()
    found = of_bytes(copy)
    assert found is not None
    assert found.parameters["seed"] == META["seed"]
    assert not list(folder.rglob("*.preview.*"))
