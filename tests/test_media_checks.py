"""The checks of the media pipelines, each on its own: hashes, sizes, pictures, filters, endings."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import TiffImagePlugin, TiffTags, features
from PIL.PngImagePlugin import PngInfo
from scrapy.exceptions import DownloadTimeoutError, IgnoreRequest
from scrapy.settings import Settings

from civitai_crawler.exceptions import GaveUpError, UsageError
from civitai_crawler.items import ModelFile
from civitai_crawler.pipelines import shelf, thumbnails
from civitai_crawler.pipelines.failures import (
    NotTheFileError,
    RefusedError,
    SpoiledError,
    not_streamed,
    refusal,
)
from civitai_crawler.pipelines.filters import FileFilter
from civitai_crawler.pipelines.images import check_still
from civitai_crawler.pipelines.model_files import printed_link
from civitai_crawler.pipelines.sniff import TEXT, UNKNOWN, sniff
from civitai_crawler.pipelines.trouble import end_crawl
from civitai_crawler.pipelines.verification import verify

SHA = "ab" * 32
#: Where nothing is read: SHA256 alone decides.
ABSENT = Path("absent")
ZIP = sniff(b"PK\x03\x04")
HTML = sniff(b"<html>")
JSON = sniff(b'{"a": 1}')


def model_file(**fields: Any) -> ModelFile:
    known: dict[str, Any] = {"id": 1, "version_id": 2, "model_id": 3, "name": "x.zip"}
    return ModelFile(**known | fields)


@pytest.mark.parametrize(
    ("hashes", "verified"),
    [
        ({"SHA256": SHA}, "SHA256"),
        ({"SHA256": SHA.upper()}, "SHA256"),
        ({"sha256": SHA, "AutoV2": "0" * 10}, "SHA256"),
        ({"AutoV2": SHA[:10].upper()}, "AutoV2"),
        ({"SHA256": "", "AutoV2": SHA[:10]}, "AutoV2"),
        ({"SHA256": SHA[:12]}, "none"),
        ({"BLAKE3": "0" * 63, "CRC32": "0" * 7, "AutoV1": "", "AutoV3": "0" * 11}, "none"),
        ({}, "none"),
    ],
)
def test_verified_by(hashes, verified):
    assert verify(model_file(hashes=hashes, size_kb=1.0), ZIP, 1024, SHA, ABSENT) == verified


@pytest.mark.parametrize(
    "hashes",
    [{"SHA256": "cd" * 32}, {"AutoV2": "cd" * 5}, {"SHA256": SHA[:10] + "cd" * 27}],
)
def test_other_bytes(hashes):
    with pytest.raises(SpoiledError) as caught:
        verify(model_file(hashes=hashes), ZIP, 1024, SHA, ABSENT)
    assert caught.value.reason == "hash_mismatch"
    assert SHA in caught.value.message
    assert "cdcdcdcdcd" in caught.value.message


@pytest.mark.parametrize(
    ("size", "fits"), [(5 * 2**20, True), (5 * 2**20 + 2000, True), (5000, False)]
)
def test_size_without_hash(size, fits):
    file = model_file(size_kb=5 * 1024.0)
    if fits:
        assert verify(file, UNKNOWN, size, SHA, ABSENT) == "none"
    else:
        with pytest.raises(SpoiledError, match="5000 bytes"):
            verify(file, UNKNOWN, size, SHA, ABSENT)


@pytest.mark.parametrize("size_kb", [0.0, -1.0, float("inf")])
def test_a_size_that_no_file_has_says_nothing(size_kb):
    assert verify(model_file(size_kb=size_kb), UNKNOWN, 5000, SHA, ABSENT) == "none"
    with pytest.raises(NotTheFileError):
        verify(model_file(name="c.json", size_kb=size_kb), JSON, 300, SHA, ABSENT)


@pytest.mark.parametrize("kind", [HTML, JSON, sniff(b"<?xml version='1.0'?>"), sniff(b"")])
@pytest.mark.parametrize("hashes", [{"SHA256": "cd" * 32}, {}])
def test_words_in_place_of_a_file(kind, hashes):
    with pytest.raises(NotTheFileError):
        verify(model_file(hashes=hashes), kind, 300, SHA, ABSENT)


def test_words_that_are_the_file():
    config = model_file(name="Config.JSON", size_kb=300 / 1024)

    page = model_file(name="page.html", hashes={"SHA256": SHA})

    assert verify(page, HTML, 300, SHA, ABSENT) == "SHA256"
    assert verify(config, JSON, 300, SHA, ABSENT) == "none"
    with pytest.raises(NotTheFileError):
        verify(config, HTML, 300, SHA, ABSENT)


@pytest.mark.parametrize(
    ("name", "size_kb", "is_file"),
    [("x.ckpt", None, False), ("x.ckpt", 900.0, False), ("x.ckpt", 20 / 1024, True),
     ("x.txt", None, True), ("trigger words", None, True)],
)  # fmt: skip
def test_plain_text_in_place_of_a_file(name, size_kb, is_file):
    file = model_file(name=name, size_kb=size_kb)
    if is_file:
        assert verify(file, TEXT, 20, SHA, ABSENT) == "none"
    else:
        with pytest.raises(NotTheFileError, match="Plain text"):
            verify(file, TEXT, 20, SHA, ABSENT)


def picture(format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Pillow.effect_noise((64, 64), 80).convert("RGB").save(stream, format_, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp", "gif", "bmp"])
def test_cut_pictures(tmp_path, format_):
    body = picture(format_)
    whole, cut, stump = (tmp_path / name for name in ("whole", "cut", "stump"))
    whole.write_bytes(body)
    cut.write_bytes(body[: len(body) // 2])
    stump.write_bytes(body[:12])

    check_still(whole, sniff(body))
    for broken in (cut, stump):
        with pytest.raises(SpoiledError):
            check_still(broken, sniff(body))


def test_pictures_that_cannot_be_checked_pass(tmp_path):
    info = PngInfo()
    info.add_itxt("workflow", "x" * 3_000_000, zip=True)
    workflow = picture("png", pnginfo=info)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[700] = TiffTags.SHORT
    tags[274], tags[700] = 6, 5  # to be turned; and a number in place of XMP
    turned = picture("tiff", tiffinfo=tags)
    for body in (workflow, turned, b"\xff\x0a" + b"\x07" * 100):
        (tmp_path / "file").write_bytes(body)
        check_still(tmp_path / "file", sniff(body))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow knows no AVIF")
@pytest.mark.parametrize("part", [b"pitm", b"mdat"])
def test_a_broken_avif_is_no_bug(tmp_path, part):
    before, _, behind = picture("avif").partition(part)
    body = before + part + bytes(len(behind))
    (tmp_path / "file").write_bytes(body)
    check_still(tmp_path / "file", sniff(body))
    with pytest.raises(thumbnails.UnreadableError):
        thumbnails.make(tmp_path / "file", {tmp_path / "7.jpg": (9, 9)})


def file_filter(**settings: Any) -> FileFilter:
    return FileFilter.from_settings(Settings(settings))


@pytest.mark.parametrize(
    ("settings", "fields", "admitted"),
    [
        ({}, {}, True),
        ({"CIVITAI_FILE_TYPES": "model, vae"}, {"type": "VAE"}, True),
        ({"CIVITAI_FILE_TYPES": "Model"}, {"type": "Training Data"}, False),
        ({"CIVITAI_FORMATS": ["SafeTensor"]}, {"format": "PickleTensor"}, False),
        ({"CIVITAI_FORMATS": ["SafeTensor"]}, {"format": None}, True),
        ({"CIVITAI_FP": "fp16"}, {"fp": "fp32"}, False),
        ({"CIVITAI_FP": "fp16"}, {"fp": "FP16"}, True),
        ({"CIVITAI_MAX_SIZE": "2048"}, {"size_kb": 2.0}, True),
        ({"CIVITAI_MAX_SIZE": 2048}, {"size_kb": 2.1}, False),
        ({"CIVITAI_MAX_SIZE": 2048}, {"size_kb": None}, True),
        ({"CIVITAI_PRIMARY_ONLY": True}, {"primary": True}, True),
        ({"CIVITAI_PRIMARY_ONLY": True}, {}, False),
    ],
)
def test_filters(settings, fields, admitted):
    assert file_filter(**settings).admits(model_file(**fields)) is admitted


def test_size_that_is_no_number():
    with pytest.raises(UsageError, match="CIVITAI_MAX_SIZE"):
        file_filter(CIVITAI_MAX_SIZE="2 GB")


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://civitai.com/api/download/models/7", "/api/download/models/7"),
        (
            "https://evil.example/api/download/models/7?type=VAE&token=s3cret&format=Other",
            "/api/download/models/7?type=VAE&format=Other",
        ),
        ("https://civitai.com/login", None),
        (None, None),
    ],
)
def test_printed_link(link, path):
    assert printed_link(link) == path


@pytest.mark.parametrize(
    ("error", "reason", "elsewhere"),
    [
        (GaveUpError("quota", "Enough for today.", status=429, retry_at="2026"), "quota", False),
        (GaveUpError("not_found", "Gone.", status=404), "not_found", True),
        (DownloadTimeoutError("https://storage/?sig=s3cret"), "network", False),
        (IgnoreRequest(), "filtered", False),
        (ConnectionResetError(), "network", False),
    ],
)
def test_refusal(error, reason, elsewhere):
    refused = refusal(error)

    assert (refused.reason, refused.elsewhere) == (reason, elsewhere)
    assert "s3cret" not in refused.message


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "not_the_file"), (307, "login_required"), (502, "server_error")],
)
def test_answer_that_nobody_judged(status, reason):
    assert not_streamed(status).reason == reason
    assert isinstance(not_streamed(status), RefusedError)


def test_trouble_that_is_a_bug_stays_one():
    error = OSError(errno.ENAMETOOLONG, "File name too long")
    with pytest.raises(OSError, match="too long") as caught:
        end_crawl(None, error)  # type: ignore[arg-type]  # not looked at
    assert caught.value is error


def test_placing_takes_the_validator_away(tmp_path: Path):
    arrived = shelf.part(tmp_path, "image", 5)
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(b"x")
    validator = arrived.with_name("image-5.part.json")
    validator.write_text("{}")
    shelf.place(arrived, tmp_path / "posts" / "5.png")

    assert (tmp_path / "posts" / "5.png").read_bytes() == b"x"
    assert list(arrived.parent.iterdir()) == []


def test_archive_name_stays_below_the_root(tmp_path):
    assert shelf.folder(tmp_path, "../..").parent == tmp_path
    assert shelf.folder(tmp_path, "") == tmp_path / "unnamed"
    assert shelf.folder(tmp_path, "Ada_L-99") == tmp_path / "Ada_L-99"
