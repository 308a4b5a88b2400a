"""The second source of generation data: what is done with it, and whole crawls with real files."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from scrapy.utils.test import get_crawler
from twisted.python.failure import Failure

from civitai_crawler import settings as project
from civitai_crawler.api import parsers
from civitai_crawler.api.embedded import Embedded
from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.items import GenerationData, Image
from civitai_crawler.ledger import Media
from civitai_crawler.pipelines.embedded import EmbeddedPipeline, complete
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl, feed

TEXT = "a fox\nNegative prompt: blurry\nSteps: 20, Seed: 5, CFG scale: 7, Model hash: AA"
GRAPH = {"3": {"class_type": "KSampler", "inputs": {"seed": 5}}}
PIPELINE = "civitai_crawler.pipelines.embedded.EmbeddedPipeline"


def told(meta: Any, *, has_meta: bool | None = None) -> GenerationData:
    return parsers.generation_data({"meta": meta}, image_id=7, has_meta=has_meta)


def found(comfy: dict[str, Any] | None = None, **parameters: Any) -> Embedded:
    return Embedded(source="png:x", parameters=parameters, comfy=comfy or {}, text="")


# --- what the file changes ---------------------------------------------------------------------


def test_a_hidden_prompt_stays_hidden():
    item = told(None, has_meta=True)
    complete(item, found(prompt="a fox", seed=5))
    assert (item.prompt_state, item.provenance) == ("hidden", "file")
    assert (item.prompt, item.seed, item.meta) == (None, None, {})
    assert item.embedded == {"source": "png:x", "parameters": {"prompt": "a fox", "seed": 5}}


def test_a_prompt_that_the_site_lacks_is_taken_from_the_file():
    item = told(None)
    complete(item, found({"prompt": GRAPH}, prompt="a fox", negativePrompt="", seed=2**70, steps=9))
    assert (item.prompt_state, item.provenance) == ("present", "file")
    assert (item.prompt, item.negative_prompt, item.seed, item.steps) == ("a fox", "", 2**70, 9)
    assert item.comfy == {"prompt": GRAPH}
    assert item.meta == {}


def test_values_of_the_site_come_first():
    item = told({"seed": 1, "hashes": {"model": "AA"}})
    complete(item, found(prompt="a fox", seed=5, hashes={"model": "BB"}, cfgScale="soon"))
    assert (item.prompt_state, item.provenance) == ("present", "both")
    assert (item.prompt, item.seed, item.cfg_scale) == ("a fox", 1, None)
    assert [entry["hash"] for entry in item.unresolved] == ["AA"]
    assert item.comfy is None


def test_a_file_with_a_graph_and_no_prompt():
    item = told(None)
    complete(item, found({"prompt": GRAPH}, seed=5))
    assert (item.prompt_state, item.provenance, item.seed) == ("absent", "file", 5)


@pytest.mark.parametrize(
    ("meta", "other", "provenance"),
    [
        ({"prompt": "a fox\n in reed"}, found(prompt=" a fox in reed"), "both"),
        ({"prompt": "a fox"}, found(prompt="a cat"), "api"),
        ({"prompt": ""}, found(prompt=""), "both"),
        ({"prompt": "a fox"}, found(seed=1), "api"),
        ({"prompt": "a fox"}, found({"prompt": GRAPH}), "api"),
        (
            {"prompt": "a fox", "comfy": {"prompt": GRAPH}},
            found({"prompt": GRAPH, "workflow": {}}),
            "both",
        ),
        ({"prompt": "a fox", "comfy": {"prompt": GRAPH}}, found({"prompt": {}}), "api"),
        ({"prompt": "a fox", "comfy": "{broken"}, found({"prompt": "{broken"}), "api"),
    ],
)
def test_whether_both_agree(meta, other, provenance):
    item = told(meta)
    complete(item, other)
    assert (item.prompt_state, item.provenance) == ("present", provenance)
    assert (item.prompt, item.seed) == (meta["prompt"], None)
    assert item.embedded == other.plain()


# --- the pipeline on real files ----------------------------------------------------------------


@pytest.fixture
def pipeline(tmp_path):
    given = {"CIVITAI_ARCHIVE": str(tmp_path), "CIVITAI_DOWNLOAD": ["images"]}
    crawler = get_crawler(settings_dict=given)
    return EmbeddedPipeline.from_crawler(crawler)


def store(pipeline: EmbeddedPipeline, folder: Any, image_id: int = 7) -> Any:
    info, path = PngInfo(), f"posts/{image_id}.png"
    info.add_text("parameters", TEXT)
    (folder / "fox" / "posts").mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (4, 4)).save(folder / "fox" / path, pnginfo=info)
    pipeline._ledger.record_media("image", image_id, Media(path, 1, "00"))
    return folder / "fox" / path


async def test_a_stored_original_is_read(pipeline, tmp_path):
    store(pipeline, tmp_path)
    item = told({"prompt": "a fox"})
    item.archive = "fox"
    assert await pipeline.process_item(item) is item
    assert item.provenance == "both"
    assert item.embedded["source"] == "png:parameters"
    assert item.embedded["text"] == TEXT
    assert item.embedded["parameters"]["hashes"] == {"model": "AA"}
    assert pipeline._crawler.stats.get_value("civitai/embedded/both") == 1


async def test_without_a_stored_original_the_site_has_the_only_word(pipeline, tmp_path):
    store(pipeline, tmp_path, image_id=8)
    item = told({"prompt": "a fox"})
    item.archive = "fox"
    await pipeline.process_item(item)
    assert (item.provenance, item.embedded) == ("api", {})


async def test_an_image_on_its_way_is_waited_for(pipeline, tmp_path):
    image, item = Image(id=7, archive="fox"), told({"prompt": "a fox"})
    item.archive = "fox"
    assert await pipeline.process_item(image) is image
    waiting = asyncio.ensure_future(pipeline.process_item(item))
    await asyncio.sleep(0)
    pipeline.item_left(Image(id=7, archive="fox"))  # a repetition was dropped
    pipeline.item_left(GenerationData(id=7, prompt_state="absent"))
    await asyncio.sleep(0)
    assert not waiting.done()
    store(pipeline, tmp_path)
    pipeline.item_left(image)
    assert (await waiting).provenance == "both"
    assert not pipeline._coming


@pytest.mark.parametrize("ended", [True, False])
async def test_an_image_that_does_not_arrive(pipeline, ended):
    image, item = Image(id=7), told({"prompt": "a fox"})
    await pipeline.process_item(image)
    waiting = asyncio.ensure_future(pipeline.process_item(item))
    await asyncio.sleep(0)
    pipeline.item_left(image, Failure(UnfinishedError() if ended else ValueError()))
    if ended:
        with pytest.raises(UnfinishedError):
            await waiting
    else:
        assert (await waiting).provenance == "api"


async def test_other_items_pass(pipeline, tmp_path):
    store(pipeline, tmp_path)
    image = Image(id=7, archive="fox")
    assert await pipeline.process_item(image) is image
    assert await pipeline.process_item({"id": 7}) == {"id": 7}


@pytest.mark.parametrize("damage", ["gone", "folder", "cut"])
async def test_a_file_that_cannot_be_read_costs_nothing(pipeline, tmp_path, damage, caplog):
    file = store(pipeline, tmp_path)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:60])
    else:
        file.unlink()
    if damage == "folder":
        file.mkdir()
    item = told({"prompt": "a fox"})
    item.archive = "fox"
    await pipeline.process_item(item)
    assert (item.provenance, item.embedded) == ("api", {})
    unreadable = pipeline._crawler.stats.get_value("civitai/embedded/unreadable")
    assert unreadable == (None if damage == "cut" else 1)
    assert len(caplog.records) == (unreadable or 0)


async def test_many_at_once(pipeline, tmp_path):
    items = []
    for number in range(1, 60):
        store(pipeline, tmp_path, number)
        item = parsers.generation_data({}, image_id=number)
        item.archive = "fox"
        items.append(item)
    await asyncio.gather(*(pipeline.process_item(item) for item in items))
    assert {item.prompt for item in items} == {"a fox"}


# --- whole crawls ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    return World.small()


@pytest.fixture(params=["full", "auto", "none"])
def archive(request, tmp_path, world):
    """Fill an archive in one go: originals arrive while generation data is asked for."""
    chain = {**project.ITEM_PIPELINES, PIPELINE: 200}
    wired = ("-s", f"ITEM_PIPELINES={json.dumps(chain)}")
    with Standin.in_thread(world) as standin:
        ended = crawl(
            standin, tmp_path, "user_models", *wired, username="lumen_fox",
            download="images", generation=request.param,
        )  # fmt: skip
    assert ended.code in DONE, ended.log
    return tmp_path / "lumen_fox"


def test_every_file_that_tells_is_heard(archive, world):
    truth = {one["id"]: one for one in world.truth(signed_in=False)["generation"]}
    stored = {one["id"] for one in feed(archive, "images") if one["path"]}
    records = feed(archive, "generation_data")
    expected = {one["id"] for one in records if truth[one["id"]]["embedded"]} & stored
    assert expected
    assert {one["id"] for one in records if one["embedded"]} == expected
    for one in records:
        state = truth[one["id"]]["state"]
        assert one["prompt_state"] == state
        if one["embedded"]:
            assert one["provenance"] == {"hidden": "file", "present": "both"}[state]
        if state == "hidden":
            assert one["prompt"] is None
