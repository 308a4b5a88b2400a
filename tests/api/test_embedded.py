"""Generation data inside files: every place and spelling, and bytes that mean harm."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from civitai_crawler.api import containers, graphs, parameters
from civitai_crawler.api.embedded import Embedded, embedded, of_bytes
from tests.api.metadata import (
    A1111,
    EXPECTED,
    PNG,
    chunk,
    itxt,
    jpeg,
    packed_chunk,
    png,
    segment,
    text_chunk,
    tiff,
    utf16,
    webp,
)

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 0,
            "steps": 20,
            "cfg": 7,
            "sampler_name": "euler",
            "denoise": 1.0,
            "positive": ["9", 0],
            "negative": ["7", 0],
        },
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["11", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}},
    "9": {"class_type": "Guidance", "inputs": {"conditioning": ["6", 0]}},
    "11": {"class_type": "Text", "inputs": {"string": "a fox"}},
}


def told(data: bytes) -> Embedded:
    found = of_bytes(data)
    assert found is not None
    return found


# --- places --------------------------------------------------------------------------------------

PLACES = {
    "tEXt": (png(text_chunk("parameters", A1111)), "png:parameters"),
    "after the picture": (
        png(chunk(b"IDAT", bytes(90)), text_chunk("Parameters", A1111)),
        "png:parameters",
    ),
    "zTXt": (png(packed_chunk("parameters", zlib.compress(A1111.encode()))), "png:parameters"),
    "iTXt": (png(itxt("parameters", A1111.encode())), "png:parameters"),
    "packed iTXt": (
        png(itxt("parameters", zlib.compress(A1111.encode()), packed=True)),
        "png:parameters",
    ),
    "eXIf": (png(chunk(b"eXIf", tiff(utf16(A1111)))), "png:UserComment"),
    "jpeg big": (jpeg(tiff(utf16(A1111))), "jpeg:UserComment"),
    "jpeg little": (jpeg(tiff(utf16(A1111, "le"), "little")), "jpeg:UserComment"),
    "jpeg little in big": (jpeg(tiff(utf16(A1111, "le"), "big")), "jpeg:UserComment"),
    "jpeg with mark": (
        jpeg(tiff(b"UNICODE\0" + A1111.encode("utf-16"))),
        "jpeg:UserComment",
    ),
    "UTF-8 called UNICODE": (jpeg(tiff(b"UNICODE\0" + A1111.encode())), "jpeg:UserComment"),
    "UTF-8 called ASCII": (jpeg(tiff(b"ASCII\0\0\0" + A1111.encode())), "jpeg:UserComment"),
    "UTF-8 called JIS": (jpeg(tiff(b"JIS\0\0\0\0\0" + A1111.encode())), "jpeg:UserComment"),
    "undefined": (jpeg(tiff(bytes(8) + A1111.encode() + b"\0\0")), "jpeg:UserComment"),
    "bare UTF-8": (jpeg(tiff(A1111.encode())), "jpeg:UserComment"),
    "second segment": (
        jpeg(None, segment(0xE0, b"JFIF\0"), segment(0xE1, b"Exif\0\0" + tiff(utf16(A1111)))),
        "jpeg:UserComment",
    ),
    "fill bytes": (
        b"\xff\xd8\xff\xff\xff\x01\xff\xd0" + jpeg(tiff(utf16(A1111)))[2:],
        "jpeg:UserComment",
    ),
    "jpeg comment": (jpeg(None, segment(0xFE, A1111.encode())), "jpeg:comment"),
    "webp": (webp((b"VP8 ", b"odd"), (b"EXIF", tiff(utf16(A1111)))), "webp:UserComment"),
    "webp with prefix": (webp((b"EXIF", b"Exif\0\0" + tiff(utf16(A1111)))), "webp:UserComment"),
}


@pytest.mark.parametrize(("data", "source"), PLACES.values(), ids=PLACES)
def test_places(data, source):
    found = told(data)
    assert found.parameters == EXPECTED
    assert (found.source, found.text, found.comfy) == (source, A1111, {})
    assert found.plain() == {"source": source, "parameters": EXPECTED, "text": A1111}


def test_real_files():
    """What Pillow writes, which is what the programs use."""
    picture, info = Pillow.new("RGB", (8, 8)), PngInfo()
    info.add_text("Software", "x")
    info.add_itxt("parameters", A1111, zip=True)
    exif = Pillow.Exif()
    exif.get_ifd(0x8769)[0x9286] = utf16(A1111)
    for form, options in (
        ("png", {"pnginfo": info}),
        ("png", {"exif": exif.tobytes()}),
        ("jpeg", {"exif": exif}),
        ("webp", {"exif": exif, "lossless": True}),
    ):
        stream = io.BytesIO()
        picture.save(stream, form, **options)
        found = told(stream.getvalue())
        assert found.parameters == EXPECTED, form


def test_japanese_and_latin():
    data = b"JIS\0\0\0\0\0" + "狐\nSteps: 20".encode("iso2022_jp")
    assert told(jpeg(tiff(data))).parameters["prompt"] == "狐"
    latin = chunk(b"tEXt", b"parameters\0caf\xe9\nSteps: 20")
    assert told(png(latin)).parameters["prompt"] == "café"
    chinese = "一只狐狸。画\nSteps: 20"
    assert told(jpeg(tiff(utf16(chinese)))).parameters["prompt"] == "一只狐狸。画"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        png(),
        png(text_chunk("Software", A1111)),
        png(text_chunk("parameters", "  ")),
        png(text_chunk("Comment", "Created with GIMP")),
        png(text_chunk("Comment", '{"made": "by hand"}')),
        jpeg(),
        jpeg(tiff(b"ASCII\0\0\0Screenshot")),
        jpeg(tiff(b"")),
        jpeg(tiff(make=b"Camera Works\0", camera=b"C-1\0")),
        jpeg(b"no TIFF"),
        jpeg(None, segment(0xFE, b"made by hand")),
        webp((b"VP8 ", b"xx")),
        webp(),
    ],
)
def test_files_without(data):
    assert of_bytes(data) is None


# --- ComfyUI -------------------------------------------------------------------------------------

TOLD = {
    "prompt": "a fox",
    "negativePrompt": "blurry",
    "seed": 0,
    "steps": 20,
    "cfgScale": 7,
    "sampler": "euler",
    "denoise": 1.0,
}


def test_graphs_in_png():
    workflow = {"nodes": [{"id": 3}], "changed": float("nan")}
    found = told(
        png(text_chunk("prompt", json.dumps(GRAPH)), text_chunk("workflow", json.dumps(workflow)))
    )
    assert found.source == "png:comfy"
    assert found.comfy == {"prompt": GRAPH, "workflow": {"nodes": [{"id": 3}], "changed": None}}
    assert found.parameters == TOLD
    assert "text" not in found.plain()


def test_graphs_in_camera_tags():
    tags = {
        "make": b"workflow:{}\0",
        "camera": b"Prompt: " + json.dumps(GRAPH).encode() + b"\0",
    }
    found = told(webp((b"EXIF", tiff(order="little", **tags))))
    assert found.source == "webp:comfy"
    assert found.comfy == {"workflow": {}, "prompt": GRAPH}
    assert found.parameters == TOLD


def test_parameters_win_over_the_graph_beside_them():
    found = told(png(text_chunk("prompt", json.dumps(GRAPH)), text_chunk("parameters", A1111)))
    assert found.parameters == EXPECTED
    assert found.comfy == {"prompt": GRAPH}


def test_a_broken_graph_is_kept_as_text():
    broken = '{"prompt": undefined}'
    found = told(png(text_chunk("workflow", broken)))
    assert (found.comfy, found.parameters) == ({"workflow": broken}, {})


def test_a_graph_in_the_comment():
    metadata = {"prompt": "a fox", "steps": 5, "resources": [{"modelVersionId": 7}]}
    data = {**GRAPH, "extraMetadata": json.dumps(metadata)}
    found = told(jpeg(tiff(utf16(json.dumps(data)))))
    assert found.parameters == metadata
    assert found.comfy == {"prompt": data}
    found = told(jpeg(tiff(utf16(json.dumps(GRAPH)))))
    assert found.parameters == TOLD


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (None, {}),
        ([], {}),
        ({"1": None, "2": {}, "3": {"inputs": []}}, {}),
        ({"1": {"inputs": {"seed": 1}}}, {}),
        ({"1": {"class_type": "KSampler", "inputs": {"seed": ["2", 0], "steps": 9}}}, {"steps": 9}),
        (
            {
                "1": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "ddim"}},
                "2": {"class_type": "SamplerAdvanced", "inputs": {"noise_seed": 4}},
            },
            {"sampler": "ddim", "seed": 4},
        ),
        (
            {
                "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "negative": []}},
                "2": {"inputs": {"text": ["2", 0]}},
            },
            {},
        ),
        ({"1": {"class_type": "KSampler", "inputs": {"positive": ["404", 0]}}}, {}),
        (
            {
                "1": {
                    "class_type": "SamplerCustomAdvanced",
                    "inputs": {
                        "guider": ["2", 0],
                        "noise": ["3", 0],
                        "sampler": ["4", 0],
                        "sigmas": ["5", 0],
                        "latent_image": ["9", 0],
                    },
                },
                "2": {"class_type": "BasicGuider", "inputs": {"conditioning": ["6", 0]}},
                "3": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
                "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
                "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "beta", "steps": 20}},
                "6": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["7", 0]}},
                "7": {"class_type": "CLIPTextEncodeFlux", "inputs": {"t5xxl": "a fox"}},
            },
            {"seed": 7, "sampler": "euler", "scheduler": "beta", "steps": 20, "prompt": "a fox"},
        ),
        (
            {
                "1": {
                    "class_type": "KSampler",
                    "inputs": {"positive": ["2", 0], "negative": ["3", 0]},
                },
                "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}},
                "3": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["2", 0]}},
            },
            {"prompt": "a fox"},
        ),
    ],
)
def test_odd_graphs(graph, expected):
    assert graphs.parameters(graph) == expected


# --- JSON of other programs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "data", "expected"),
    [
        (
            "parameters",
            {
                "sui_image_params": {
                    "prompt": "fox",
                    "negativeprompt": "",
                    "model": "m",
                    "cfgscale": 7.0,
                    "seed": 5,
                    "width": 8,
                    "height": 9,
                },
                "sui_extra_data": {},
            },
            {
                "prompt": "fox",
                "negativePrompt": "",
                "Model": "m",
                "cfgScale": 7,
                "seed": 5,
                "width": 8,
                "height": 9,
                "Size": "8x9",
            },
        ),
        (
            "Comment",
            {"prompt": "fox", "uc": "bad", "scale": 5.5, "steps": 28, "sampler": "k_euler"},
            {
                "prompt": "fox",
                "negativePrompt": "bad",
                "cfgScale": 5.5,
                "steps": 28,
                "sampler": "k_euler",
            },
        ),
        (
            "parameters",
            {"prompt": "fox", "seed": "-1", "sampler": 3, "clip_skip": True},
            {"prompt": "fox", "seed": -1, "sampler": "3", "clipSkip": True},
        ),
    ],
)
def test_json(keyword, data, expected):
    found = told(png(text_chunk(keyword, json.dumps(data))))
    assert found.parameters == expected
    assert found.text == json.dumps(data)


@pytest.mark.parametrize("data", [None, [], {}, {"prompt": ["fox"]}, {"sui_image_params": {}}])
def test_json_without_a_prompt(data):
    assert parameters.from_json(data) is None


def test_braces_may_also_begin_a_prompt():
    found = told(png(text_chunk("parameters", "{red|blue} fox\nSteps: 20")))
    assert found.parameters == {"prompt": "{red|blue} fox", "steps": 20}


# --- bytes that mean harm ------------------------------------------------------------------------


def test_bombs_are_not_unpacked():
    bomb = zlib.compress(bytes(200_000_000), 9)
    data = png(
        packed_chunk("parameters", bomb), itxt("prompt", bomb, packed=True), text_chunk("x", "y")
    )
    tracemalloc.start()
    assert of_bytes(data) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * containers.MAX_TEXT


def test_tags_that_claim_all_of_the_file_are_not_copied():
    tags = [tag.to_bytes(2, "big") + b"\0\7\0\x3f\0\0\0\0\0\0" for tag in range(200)]
    exif = b"MM\0*\0\0\0\x08" + len(tags).to_bytes(2, "big") + b"".join(tags)
    data = webp((b"EXIF", exif.ljust(containers.MAX_TEXT, b"\0")))
    tracemalloc.start()
    assert of_bytes(data) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * containers.MAX_TEXT


def test_the_first_of_equal_chunks_counts():
    bomb = packed_chunk("parameters", zlib.compress(bytes(5_000_000), 9))
    assert of_bytes(png(bomb, text_chunk("parameters", A1111))) is None
    two = png(text_chunk("parameters", "a"), text_chunk("parameters", "b"))
    assert told(two).parameters == {"prompt": "a"}
    twice = jpeg(
        tiff(utf16("a\nSteps: 1")), segment(0xE1, b"Exif\0\0" + tiff(utf16("b\nSteps: 2")))
    )
    assert told(twice).parameters["prompt"] == "a"


@pytest.mark.parametrize(
    "data",
    [
        PNG + b"\xff\xff\xff\xfftEXtparameters\0x",
        PNG + b"\0\0\0\x20tEXt",
        PNG + b"\0\0\0\x20tEXtparameters\0a fox",
        PNG + b"\0\0\0\x04????xxxx",
        png(chunk(b"zTXt", b"parameters\0\0no zlib")),
        png(chunk(b"zTXt", b"parameters")),
        png(chunk(b"iTXt", b"parameters\0")),
        png(chunk(b"tEXt", b"parameters" * 100)),
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM\0*",
        b"\xff\xd8\xff\xe1\0\0\0\0",
        b"\xff\xd8\xff\xe1\0\2\0\0",
        jpeg(b"MM\0*" + b"\xff" * 4),
        jpeg(b"II*\0\x08\0\0\0\xff\xff" + b"\x69\x87\x04\0\1\0\0\0\x08\0\0\0" * 3),
        webp()[:12] + b"EXIF\xff\xff\xff\xff",
    ],
)
def test_lies_about_lengths(data):
    assert of_bytes(data) is None


def test_only_metadata_is_read_of_a_huge_file():
    """A picture of 3 GB: the chunks around it are asked for, never the picture."""
    front = PNG + chunk(b"IHDR", bytes(13)) + (3_000_000_000).to_bytes(4, "big") + b"IDAT"
    end = len(front) + 3_000_000_004
    back = text_chunk("parameters", A1111) + chunk(b"IEND", b"")
    asked = []

    def read(at: int, length: int) -> bytes:
        asked.append(length)
        return front[at : at + length] if at < len(front) else back[at - end : at - end + length]

    found = embedded(read)
    assert found is not None
    assert found.parameters == EXPECTED
    assert sum(asked) < 2 * len(front + back)


def test_errors_of_reading_pass():
    def read(at: int, length: int) -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        embedded(read)


ENDLESS = {
    "empty chunks": PNG + (b"\0\0\0\0abcd" + bytes(4)) * 400_000,
    "fill bytes": b"\xff\xd8" + b"\xff" * 4_000_000,
    "empty segments": b"\xff\xd8" + b"\xff\xe2\0\2" * 1_000_000,
    "webp chunks": b"RIFF\0\0\0\0WEBP" + b"abcd\0\0\0\0" * 400_000,
    "exif entries": jpeg(b"MM\0*\0\0\0\x08\xff\xff" + b"\x92\x86\0\7\0\0\xff\xff\0\0\0\0" * 5_000),
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS)
def test_endless_files_end(data):
    started = time.process_time()
    assert of_bytes(data) is None
    assert time.process_time() - started < 3


def is_plain(found: Any) -> None:
    """Check that what was found can stand in a feed."""
    if found is not None:
        json.dumps(found.plain(), allow_nan=False, ensure_ascii=False).encode()


HEADS = [PNG, png()[:-12], b"\xff\xd8\xff", webp(), b"RIFF\0\0\0\0WEBPEXIF\x40\0\0\0MM\0*"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=400))
def test_any_bytes(head, data):
    is_plain(of_bytes(head + data))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(PLACES)), st.data())
def test_spoiled_files(name, data):
    spoiled = bytearray(PLACES[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    is_plain(of_bytes(bytes(spoiled)))


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text(text):
    for before in ("", "Steps: 1, ", "Steps: 1, a: "):
        assert "prompt" in parameters.parse(before + text)
    is_plain(of_bytes(png(text_chunk("parameters", text))) if "\ud800" not in text else None)


KEYS = st.sampled_from(
    ["prompt", "3", "inputs", "class_type", "positive", "sui_image_params", "extraMetadata", "seed"]
)
JSON = st.recursive(
    st.none() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_json(value):
    text = json.dumps(value)
    is_plain(of_bytes(png(text_chunk("parameters", text), text_chunk("prompt", text))))
