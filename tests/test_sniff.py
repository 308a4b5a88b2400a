"""First bytes: what arrived, whatever its name and headers say."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
from PIL import Image as Pillow

from civitai_crawler.pipelines.sniff import sniff


def picture(format_: str) -> bytes:
    stream = io.BytesIO()
    Pillow.new("RGB", (4, 4), "red").save(stream, format_)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    return stream.getvalue()


def mp4(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x20ftyp" + brand + b"\x00\x00\x02\x00isomiso2"


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"])
def test_pictures(format_):
    kind = sniff(picture(format_)[:512])

    assert (kind.ext, kind.mime, kind.family) == (format_, f"image/{format_}", "image")


@pytest.mark.parametrize(
    ("head", "ext", "family"),
    [
        (b"\xff\x0a\xfa\x1f", "jxl", "image"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl", "image"),
        (mp4(b"isom"), "mp4", "video"),
        (mp4(b"mp42"), "mp4", "video"),
        (mp4(b"qt  "), "mov", "video"),
        (mp4(b"M4A "), "m4a", "audio"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "webm", "video"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "mkv", "video"),
        (b"ID3\x04\x00", "mp3", "audio"),
        (b"\xff\xfb\x90\x64", "mp3", "audio"),
        (b"OggS\x00", "ogg", "audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav", "audio"),
        (b"fLaC\x00", "flac", "audio"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00" + b'{"__metadata__":{}}', "safetensors", "weights"),
        (zipped(), "zip", "archive"),
        (pickle.dumps({"a": 1}, protocol=2), "pt", "weights"),
        (b"GGUF\x03\x00\x00\x00", "gguf", "weights"),
        (b"\x08\x07\x12\x07pytorch\x1a\x05", "onnx", "weights"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z", "archive"),
        (b"Rar!\x1a\x07\x01\x00", "rar", "archive"),
        (b"<!DOCTYPE html><html>", "html", "page"),
        (b"\xef\xbb\xbf\r\n  <!-- x --><HTML lang=en>", "html", "page"),
        (b"<head><title>Just a moment...</title>", "html", "page"),
        (b'{"error":"Unauthorized"}', "json", "page"),
        (b'\n[{"code":"x"}]', "json", "page"),
        (b"{", "json", "page"),
        (b'<?xml version="1.0"?><Error>', "xml", "page"),
        (b"<Error><Code>AccessDenied</Code>", "xml", "page"),
        (b"model:\n  base_learning_rate: 1.0e-4\n", "txt", "text"),
        (b"<lora:name:0.8> 1girl", "txt", "text"),
        (b"[1girl], (masterpiece)", "txt", "text"),
        ("ключ: значение".encode()[:-1], "txt", "text"),
        (b"\x01\x02\x03\x04", "", "unknown"),
        (b"caf\xe9 in another encoding", "", "unknown"),
        (b"", "", "empty"),
    ],
)
def test_kinds(head, ext, family):
    kind = sniff(head)

    assert (kind.ext, kind.family) == (ext, family)
