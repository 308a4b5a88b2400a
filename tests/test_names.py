"""Names: whatever a creator typed has to open on every disk."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathvalidate import is_valid_filename

from civitai_crawler.items import Image, ModelFile
from civitai_crawler.ledger import Ledger
from civitai_crawler.pipelines.names import (
    MAX_PATH,
    component,
    file_name,
    image_path,
    model_file_path,
)
from tests.media_support import PNG, image, link, original, run, weights
from tests.media_support import model_file as file_record

SAMPLES = Path(
    os.environ.get("CIVITAI_SAMPLES", Path(__file__).parents[1] / ".." / "shared" / "samples")
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("..", "fallback"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("...", "fallback"),
        ("CON", "CON_"),
        ("con", "con_"),
        ("LPT1.tar", "LPT1_.tar"),
        ("COM¹", "COM¹_"),
        ("ends with dots...", "ends with dots"),
        ("  spaces around  ", "spaces around"),
        ("trailing . . ", "trailing"),
        (".hidden", "hidden"),
        ("tab\there\nline", "tab here line"),
        ("nul\x00byte\x1b[31m", "nul byte [31m"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("right\u202eot-tfel\u202c", "rightot-tfel"),
        ("\u200f\u200b", "fallback"),
        ("e\u0301", "é"),
        ("Desiree 🌟", "Desiree 🌟"),
        ("몰루", "몰루"),
        ("lone \ud83d surrogate", "lone surrogate"),
        ("private \ue000 use", "private use"),
        (">_<", "fallback"),
        ("", "fallback"),
        (None, "fallback"),
    ],
)
def test_component(text, expected):
    assert component(text, "fallback") == expected


@given(st.text(max_size=400), st.integers(20, 200))
def test_component_is_always_portable(text, max_bytes):
    name = component(text, "fallback", max_bytes)

    assert len(name.encode()) <= max_bytes
    assert is_valid_filename(name, platform="universal")
    assert name == name.strip(" .")
    assert unicodedata.is_normalized("NFC", name)
    assert component(name, "fallback", max_bytes) == name


def test_cut_keeps_characters_whole():
    assert component("é" * 60, "x", 101) == "é" * 50
    # A base letter without its accent would be another letter.
    assert component("ab" + "q\u0301" * 4, "x", 6) == "abq\u0301"
    assert component("name     tail", "x", 5) == "name"
    assert component("CON .tail", "x", 4) == "CON_"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.safetensors", "model.safetensors"),
        ("*.pt", "77.pt"),
        ("<delta:close portrait:0.7>.safetensors", "_delta_close portrait_0.7_.safetensors"),
        (" negmutation-2400.pt", "negmutation-2400.pt"),
        ("cc tsumasaky@c.c..safetensors", "cc tsumasaky@c.c.safetensors"),
        ("经典模型.safetensors", "经典模型.safetensors"),
        ("CON.safetensors", "CON_.safetensors"),
        ("aux .txt ", "aux_.txt"),
        (".gitignore", "77.gitignore"),
        ("no extension", "no extension"),
        ("version 1.5 pruned", "version 1.5 pruned"),
        ("../../x.bin", "_.._x.bin"),
        ("", "77"),
    ],
)
def test_file_name(text, expected):
    assert file_name(text, "77") == expected


def test_long_file_name_keeps_its_extension():
    name = file_name("長" * 300 + ".safetensors", "77")

    assert name.endswith("長.safetensors")
    assert len(name.encode()) <= 180


def model_file(**fields: Any) -> ModelFile:
    known: dict[str, Any] = {"id": 77, "version_id": 456, "model_id": 123, "name": "f.pt"}
    return ModelFile(**known | fields)


def test_model_file_path():
    file = model_file(model_name="My/Model", version_name="v1.0", name="my.safetensors")

    assert model_file_path(file) == "models/My_Model (123)/v1.0 (456)/my.safetensors"


def test_model_file_path_without_names():
    assert model_file_path(model_file()) == "models/model (123)/version (456)/f.pt"
    assert model_file_path(model_file(model_id=None)) == "models/version (456)/f.pt"


def test_ids_survive_the_longest_names():
    file = model_file(model_name="模" * 200, version_name="版" * 200, name="文" * 200 + ".gguf")
    path = model_file_path(file)
    model, version, name = path.split("/")[1:]

    assert len(path.encode()) <= 240
    assert model.endswith("模 (123)")
    assert version.endswith("版 (456)")
    assert name.endswith("文.gguf")


def test_folder_does_not_depend_on_the_file():
    names = {"model_name": "M" * 200, "version_name": "V" * 200}
    short, long = (model_file(name=name, **names) for name in ("a.pt", "b" * 300 + ".pt"))

    assert model_file_path(short).rpartition("/")[0] == model_file_path(long).rpartition("/")[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"post_id": 9, "post_title": "Fine: day"}, "posts/9 Fine_ day/5.png"),
        ({"post_id": 9}, "posts/9/5.png"),
        ({"post_id": 9, "post_title": " \u200b"}, "posts/9/5.png"),
        ({"post_id": 9, "post_title": "dots..."}, "posts/9 dots/5.png"),
        ({}, "images/5.png"),
    ],
)
def test_image_path(fields, expected):
    assert image_path(Image(id=5, **fields), "png") == expected


def test_image_path_with_a_long_title():
    path = image_path(Image(id=5, post_id=9, post_title="題" * 500), "png")

    assert path.startswith("posts/9 題")
    assert len(path.split("/")[1].encode()) <= 100


@pytest.mark.parametrize("file", ["model-names", "version-names", "files", "trpc-image-names"])
def test_recorded_names(file):
    found = list((SAMPLES / "fragments_names").glob(f"*{file}*.json"))
    if not found:
        pytest.skip("recorded samples are not here")
    for row in json.loads(found[0].read_text()):
        name = (row.get("file") or row)["name"] or ""
        made = file_name(name, "77") if file == "files" else component(name, "77")
        assert is_valid_filename(made, platform="universal"), name
        assert made != "77" or not any(char.isalnum() for char in name.rpartition(".")[0])


#: Names of files of one version, as creators type them and as nobody should.
HOSTILE = [
    "CON", "con.txt", "NUL.safetensors", "..", "../../up.safetensors", "/etc/passwd", "C:\\x.pt",
    "a.safetensors", "A.safetensors", "a.SAFETENSORS", "a. ", "a...", "a", "A", "\u212bngström.pt",
    "A\u030angstro\u0308m.pt", "straße.pt", "STRASSE.pt", "a (108).safetensors", "🧊🔥.pt",
    "🧊🔥.PT", "模" * 300 + ".safetensors", "模" * 301 + ".safetensors", "x" * 300, "X" * 299,
    "tab\tand\nline.pt", "a\x00b.pt", "\u202egnp.exe", "", " ", ".hidden", "q?.pt", "q*.pt",
    "q_.pt",
]  # fmt: skip


async def test_names_of_different_items_never_meet(tmp_path):
    """Also on disks that do not tell upper from lower case, and whatever comes first."""
    files: list[tuple[int, dict[str, Any]]] = [
        (100 + at, {"name": name, "model_name": "Aux", "version_name": "V."})
        for at, name in enumerate(HOSTILE)
    ]
    # Other models and versions whose names differ in case only, or not at all.
    files += [
        (900 + at, {"name": "a.pt", "model_id": 11 + at, "model_name": name, "version_id": 21 + at})
        for at, name in enumerate(["Fox", "fox", "FOX ", "fox.", "Fox"])
    ]
    goods: dict[str, bytes | list[bytes]] = {
        link(number, fields.get("version_id", 20)): weights(number % 256)
        for number, fields in files
    }
    done = await run(
        tmp_path, goods, [file_record(number, None, **fields) for number, fields in files]
    )
    paths = [done.item(number)["path"] for number, _ in files]

    assert None not in paths, [one for one in done.result.items if one.get("reason")]
    assert len({path.casefold() for path in paths}) == len(files)
    for number, _ in files:
        assert done.bytes_of(number) == weights(number % 256)
    for path in paths:
        assert len(path.encode()) <= MAX_PATH + len(" (999)")
        assert (done.folder / path).resolve().is_relative_to(done.folder / "models")
        for part in path.split("/"):
            assert is_valid_filename(part, platform="universal"), part
            assert part == part.strip(" .")
            assert unicodedata.is_normalized("NFC", part)


async def test_an_image_is_named_by_its_id_whatever_its_post_is_called(tmp_path):
    titles = ["Night", "night", "NIGHT ", "..", "CON", "x" * 300, None]
    records = [
        image(number, post_id=number % 3 + 1, post_title=title)
        for number, title in enumerate(titles, 1)
    ]
    goods: dict[str, bytes | list[bytes]] = {original(number): PNG for number in range(1, 8)}
    done = await run(tmp_path, goods, records)
    paths = [done.item(number)["path"] for number in range(1, 8)]

    assert len({path.casefold() for path in paths}) == len(paths)
    assert all(
        is_valid_filename(part, platform="universal") for p in paths for part in p.split("/")
    )


def test_an_id_in_the_name_of_another_file_is_no_dead_end():
    ledger = Ledger()
    assert ledger.claim_path("model_file", 7, "m/x (2).pt") == "m/x (2).pt"
    assert ledger.claim_path("model_file", 1, "m/x.pt") == "m/x.pt"
    assert ledger.claim_path("model_file", 2, "m/X.pt") == "m/X (2) 2.pt"
    assert ledger.claim_path("model_file", 2, "m/X.pt") == "m/X (2) 2.pt"
