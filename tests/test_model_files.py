"""Model files in a whole crawl: verified, named, refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.media_support import HTML, Outcome, link, model_file, run, sha256, weights

CONFIG = b'{"base": "sd15"}'
YAML = b"model:\n  target: ldm\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    goods: dict[str, bytes | list[bytes]] = {link(n): weights(n) for n in range(1, 30)}
    goods |= {
        link(3): weights(99),
        link(4): [weights(99), weights(4)],
        link(5): HTML,
        link(6): b'{"error":"Unauthorized"}',
        link(7): CONFIG,
        link(8): CONFIG,
        link(9): YAML,
        "/api/download/models/20?type=VAE&format=Other": weights(12),
        link(14): b"",
        link(17): b"410",
    }
    del goods[link(12)]
    records = [
        model_file(1, weights(1), name="same.safetensors"),
        model_file(2, weights(2), name="Same.safetensors"),
        *(model_file(number, weights(number)) for number in (3, 4, 5)),
        model_file(6, name="x.ckpt"),
        model_file(7, CONFIG, name="config.json", type="Config"),
        model_file(8, name="unpublished.json", type="Config"),
        model_file(9, name="v1.yaml", type="Config", size_kb=len(YAML) / 1024),
        model_file(10, hashes={"AutoV2": sha256(weights(10))[:10].upper()}),
        model_file(11, hashes={"SHA256": ""}, size_kb=9000.0),
        model_file(
            12,
            weights(12),
            type="VAE",
            download_url="https://example.org/api/download/models/20?type=VAE&token=s3cret&format=Other",
        ),
        model_file(13, weights(13), name="../../CON .. <x>.safetensors", model_name="aux."),
        model_file(14),
        model_file(15, weights(15), type="Training Data"),
        model_file(16),
        model_file(17),
    ]
    more = {"CIVITAI_FILE_TYPES": "Model,VAE,Config"}
    return asyncio.run(run(tmp_path_factory.mktemp("files"), goods, records, **more))


def test_file_is_verified_and_stored(files):
    item = files.item(1)

    assert item["path"] == "models/Castle (10)/v1 (20)/same.safetensors"
    assert files.bytes_of(1) == weights(1)
    assert (item["verified"], item["sha256"]) == ("SHA256", sha256(weights(1)))
    assert item["size_bytes"] == len(weights(1))
    assert "Stored models/Castle (10)/v1 (20)/same.safetensors" in files.result.log


def test_same_name_twice_in_a_version(files):
    paths = {files.item(number)["path"].rpartition("/")[2] for number in (1, 2)}

    assert "same.safetensors" in {path.lower() for path in paths}
    assert paths & {"same (1).safetensors", "Same (2).safetensors"}
    assert (files.bytes_of(1), files.bytes_of(2)) == (weights(1), weights(2))


def test_wrong_bytes_are_quarantined(files):
    failure = files.failure(3)

    assert files.shop.asked[link(3)] == 2
    assert files.item(3)["path"] is None
    assert failure["reason"] == "hash_mismatch"
    assert sha256(weights(3)) in failure["message"]
    assert sha256(weights(99)) in failure["message"]
    assert (failure["model_id"], failure["version_id"]) == (10, 20)
    kept = files.folder / "quarantine" / "3 castle-3.safetensors"
    assert kept.read_bytes() == weights(99)
    assert not (files.folder / "models/Castle (10)/v1 (20)/castle-3.safetensors").exists()


def test_wrong_bytes_once_are_fetched_again(files):
    assert files.item(4)["verified"] == "SHA256"
    assert files.bytes_of(4) == weights(4)


@pytest.mark.parametrize(("number", "words"), [(5, "web page"), (6, "JSON"), (8, "JSON")])
def test_words_are_no_file(files, number, words):
    assert files.item(number)["path"] is None
    assert files.failure(number)["reason"] == "not_the_file"
    assert words in files.failure(number)["message"]
    assert files.shop.asked[link(number)] == 1


def test_config_file_whose_hash_fits_is_the_file(files):
    assert files.bytes_of(7) == CONFIG
    assert files.item(7)["verified"] == "SHA256"


def test_text_file_of_published_size(files):
    assert files.bytes_of(9) == YAML
    assert files.item(9)["verified"] == "none"


def test_short_hash(files):
    assert files.item(10)["verified"] == "AutoV2"


def test_file_of_another_size_without_hash(files):
    assert files.failure(11)["reason"] == "size_mismatch"
    assert (files.folder / "quarantine" / "11 castle-11.safetensors").exists()


def test_linked_vae_has_its_own_address(files):
    assert files.bytes_of(12) == weights(12)
    assert "s3cret" not in str(files.shop.asked)


def test_hostile_names_stay_inside(files):
    path = files.item(13)["path"]

    assert path == "models/aux_ (10)/v1 (20)/_.._CON .. _x_.safetensors"
    assert (files.folder / path).resolve().is_relative_to(files.folder)


def test_empty_file_is_none(files):
    assert "empty" in files.failure(14)["message"]


def test_refusal_of_the_site_is_told(files):
    assert (files.failure(17)["reason"], files.failure(17)["status"]) == ("archived", 410)


def test_filtered_file_is_not_asked_for(files):
    assert files.item(15)["path"] is None
    assert files.shop.asked[link(15)] == 0
    assert files.stats["civitai/files/filtered"] == 1


def test_unchecked_file_says_so(files):
    assert files.item(16)["verified"] == "none"


def test_file_stats(files):
    assert files.stats["civitai/files/stored"] == 9
    assert files.stats["civitai/files/failed/hash_mismatch"] == 1
    assert files.stats["civitai/files/failed/not_the_file"] == 4
    assert "Traceback" not in files.result.log
