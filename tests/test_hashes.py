"""The published hashes beside SHA256: computed as the site computes them, compared, named."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tracemalloc
import zlib
from typing import Any

import pytest

from civitai_crawler.items import ModelFile
from civitai_crawler.pipelines import safetensors
from civitai_crawler.pipelines.failures import SpoiledError
from civitai_crawler.pipelines.hashes import ALGORITHMS
from civitai_crawler.pipelines.sniff import sniff
from civitai_crawler.pipelines.verification import proof, verify
from tests.media_support import HTML, Outcome, link, model_file, run, sha256, weights

#: Nine digits, whose sums and hashes every description of an algorithm tells.
DIGITS = b"123456789"
CRC, CRC_BY_THE_SITE = "cbf43926", "2639f4cb"
#: Of nothing, from the specification of BLAKE3.
BLAKE3_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc949" + "9bcb25c9adc112b7cc9a93cae41f3262"
LARGE = weights(7, 0x120000)


def header_length(body: bytes) -> int:
    return 8 + int.from_bytes(body[:8], "little")


def tensors_hash(body: bytes) -> str:
    return sha256(body[header_length(body) :])


def autov1(body: bytes) -> str:
    return sha256(body[0x100000:0x110000])[:8]


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("CRC32", DIGITS, (CRC_BY_THE_SITE, CRC)),
        ("BLAKE3", b"", (BLAKE3_OF_NOTHING,)),
        ("AutoV3", weights(3), (sha256(b"\3" * 5000),)),
        ("AutoV3", b"PK\3\4 no safetensors", ()),
        ("AutoV1", b"x" * 0x110000, (sha256(b"x" * 0x10000),)),
        ("AutoV1", b"x" * 0x10FFFF, ()),
    ],
)
def test_computed_as_the_site_computes(tmp_path, name, body, found):
    (tmp_path / "file").write_bytes(body)

    assert ALGORITHMS[name].compute(tmp_path / "file", lambda: None) == found


@pytest.mark.parametrize("name", ["BLAKE3", "AutoV3", "CRC32"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    file = tmp_path / "file"
    file.write_bytes(weights(1, 0))
    with file.open("r+b") as stream:
        stream.truncate(150_000_000)
    tracemalloc.start()
    ALGORITHMS[name].compute(file, lambda: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000


def test_a_stopped_crawl_ends_the_reading(tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    def stop() -> None:
        raise InterruptedError

    for name in ("BLAKE3", "CRC32"):
        with pytest.raises(InterruptedError):
            ALGORITHMS[name].compute(tmp_path / "file", stop)


def prove(path, body: bytes, **hashes: str) -> str | None:
    path.write_bytes(body)
    file = ModelFile(id=1, version_id=2, model_id=3, name="x.safetensors", hashes=hashes)
    return proof(file, sha256(body), path)


def test_the_best_hash_decides(tmp_path):
    file, body = tmp_path / "file", weights(1)
    wrong = {"BLAKE3": "00" * 32, "AutoV3": "0" * 12, "CRC32": "0" * 8, "AutoV1": "0" * 8}

    assert prove(file, body, SHA256=sha256(body).upper(), **wrong) == "SHA256"
    assert prove(file, body, AutoV2=sha256(body)[:10], **wrong) == "AutoV2"
    assert prove(file, DIGITS, CRC32=CRC_BY_THE_SITE.upper(), AutoV1="0" * 8) == "CRC32"
    assert prove(file, body, AutoV3=tensors_hash(body)[:12].upper(), CRC32="0" * 8) == "AutoV3"
    assert prove(file, LARGE, AutoV1=autov1(LARGE).upper()) == "AutoV1"
    # Neither applies to a short file that is no safetensors: nothing to compare.
    assert prove(file, DIGITS, AutoV3="0" * 12, AutoV1="0" * 8) is None
    with pytest.raises(
        SpoiledError, match=f"BLAKE3 [0-9a-f]{{64}}, the site publishes {'00' * 32}"
    ):
        prove(file, body, **wrong)


def test_a_hash_of_a_part_does_not_stand_alone(tmp_path):
    """AutoV1 sees 64 KiB: the rest has to be of published size, and the header has to fit."""
    path = tmp_path / "file"
    file = ModelFile(
        id=1, version_id=2, model_id=3, name="x.safetensors", size_kb=len(LARGE) / 1024,
        hashes={"AutoV1": autov1(LARGE)},
    )  # fmt: skip
    for body, reason in ((LARGE[:-5000], "size_mismatch"), (LARGE[:-100], "not_the_file")):
        path.write_bytes(body)
        with pytest.raises(SpoiledError) as caught:
            verify(file, sniff(body[:512]), len(body), sha256(body), path)
        assert caught.value.reason == reason
    path.write_bytes(LARGE)
    assert verify(file, sniff(LARGE[:512]), len(LARGE), sha256(LARGE), path) == "AutoV1"


def tensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (weights(1), None),
        (tensors({}), None),
        (tensors({"b": tensor(2, 4), "a": tensor(0, 2)}, b"1234"), None),
        (tensors(b'{"__metadata__": {}}   '), None),
        (weights(1)[:-1], "names 5000 bytes of tensors, 4999 are there"),
        (weights(1) + b"x", "5001 are there"),
        (weights(1)[:60], "does not begin"),
        (b"", "does not begin"),
        (b"PK\3\4 a zip", "does not begin"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "does not begin"),
        (tensors(b'{"a": '), "cannot be read"),
        (tensors(b"{" + b"[" * 100_000), "cannot be read"),
        (tensors({"a": 5}), "cannot be read"),
        (tensors({"a": {"data_offsets": [0]}}), "cannot be read"),
        (tensors({"a": {"data_offsets": [0, "4"]}}, b"1234"), "cannot be read"),
        (tensors({"a": tensor(4, 0)}, b"1234"), "cannot be read"),
    ],
)
def test_header_of_safetensors(tmp_path, body, why):
    (tmp_path / "file").write_bytes(body)
    found = safetensors.flaw(tmp_path / "file")

    assert (found is None) if why is None else (why in (found or ""))


GOOD, OTHER = weights(50), weights(99)
CASES: dict[int, tuple[bytes, dict[str, str]]] = {
    1: (GOOD, {"CRC32": zlib.crc32(GOOD).to_bytes(4, "little").hex().upper()}),
    2: (GOOD, {"AutoV3": tensors_hash(GOOD)[:12].upper()}),
    3: (LARGE, {"AutoV1": autov1(LARGE).upper()}),
    4: (OTHER, {"AutoV3": tensors_hash(GOOD)[:12].upper()}),
    5: (OTHER, {"BLAKE3": "AB" * 32}),
    6: (GOOD[:-1], {}),
    7: (HTML, {"BLAKE3": "AB" * 32}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    goods: dict[str, bytes | list[bytes]] = {link(n): body for n, (body, _) in CASES.items()}
    records = [
        model_file(n, hashes=hashes, size_kb=len(body) / 1024)
        for n, (body, hashes) in CASES.items()
    ]
    # The first answer is another file, the second the right one.
    goods[link(8)] = [OTHER, GOOD]
    records.append(model_file(8, hashes={"AutoV3": tensors_hash(GOOD)}))
    return asyncio.run(run(tmp_path_factory.mktemp("hashes"), goods, records))


def test_item_names_the_hash_that_proves_it(files):
    assert [files.item(n)["verified"] for n in (1, 2, 3, 8)] == [
        "CRC32", "AutoV3", "AutoV1", "AutoV3",
    ]  # fmt: skip
    assert files.bytes_of(3) == LARGE
    assert files.item(3)["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert files.shop.asked[link(8)] == 2


@pytest.mark.parametrize(("number", "told"), [(4, tensors_hash(GOOD)[:12]), (5, "ab" * 32)])
def test_other_bytes_are_quarantined_with_both_hashes_named(files, number, told):
    failure, kept = files.failure(number), files.folder / f"quarantine/{number} castle-{number}"

    assert failure["reason"] == "hash_mismatch"
    assert told in failure["message"]
    assert {4: tensors_hash(OTHER), 5: "BLAKE3"}[number] in failure["message"]
    assert files.shop.asked[link(number)] == 2
    assert kept.with_name(kept.name + ".safetensors").read_bytes() == OTHER
    assert files.item(number)["path"] is None


def test_cut_safetensors_without_a_hash_is_quarantined(files):
    assert files.failure(6)["reason"] == "not_the_file"
    assert "4999 are there" in files.failure(6)["message"]
    assert (files.folder / "quarantine/6 castle-6.safetensors").exists()


def test_a_web_page_is_told_as_one(files):
    assert "web page" in files.failure(7)["message"]
    assert files.shop.asked[link(7)] == 1
