"""Generation data: what is read, what is kept, and what is said about the prompt."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_crawler.api import parsers
from civitai_crawler.exceptions import BadRecordError
from civitai_crawler.items import Resource


def answer(*, has_meta: Any = None, **fields: Any) -> Any:
    return parsers.generation_data(fields, image_id=1, has_meta=has_meta)


def inline(meta: Any) -> Any:
    page = parsers.images_page({"items": [{"id": 1, "postId": 2, "username": "fox", "meta": meta}]})
    return page.items[0].generation


@pytest.mark.parametrize(
    ("meta", "name", "value"),
    [
        ({"prompt": ""}, "prompt", ""),
        ({"prompt": "a\nBREAK 🤷‍♂️\u200b"}, "prompt", "a\nBREAK 🤷‍♂️\u200b"),
        ({"prompt": ["odd"]}, "prompt", None),
        ({"negativePrompt": "blurry"}, "negative_prompt", "blurry"),
        ({"Negative prompt": "blurry"}, "negative_prompt", "blurry"),
        ({"seed": 17739416935733250000}, "seed", 17739416935733250000),
        ({"seed": "17739416935733250000"}, "seed", 17739416935733250000),
        ({"seed": -1}, "seed", -1),
        ({"seed": 0}, "seed", 0),
        ({"seed": 5.0}, "seed", 5),
        ({"seed": 5.5}, "seed", None),
        ({"seed": "random"}, "seed", None),
        ({"seed": True}, "seed", None),
        ({"steps": "30"}, "steps", 30),
        ({"Steps": 30}, "steps", 30),
        ({"cfgScale": 7}, "cfg_scale", 7.0),
        ({"cfgScale": "7.5"}, "cfg_scale", 7.5),
        ({"CFG scale": "7.5"}, "cfg_scale", 7.5),
        ({"cfgScale": float("inf")}, "cfg_scale", None),
        ({"sampler": "Undefined"}, "sampler", "Undefined"),
        ({"clipSkip": 2}, "clip_skip", 2),
        ({"Clip skip": "2"}, "clip_skip", 2),
        ({"clipSkip": "auto", "Clip skip": 2}, "clip_skip", 2),
        ({"process": "txt2img"}, "process", "txt2img"),
        ({"extra": {"remixOfId": 7}}, "remix_of_id", 7),
        ({"comfy": {"prompt": {}}}, "comfy", {"prompt": {}}),
        (
            {"comfy": '{"prompt": {"is_changed": [NaN]}}'},
            "comfy",
            {"prompt": {"is_changed": [None]}},
        ),
        (
            {"comfy": '{"prompt": {}, "workflow": undefined}'},
            "comfy",
            '{"prompt": {}, "workflow": undefined}',
        ),
        ({"comfy": "[1]"}, "comfy", "[1]"),
        ({"comfy": ""}, "comfy", None),
        ({"comfy": "[" * 100_000}, "comfy", "[" * 100_000),
        ({"comfy": 5}, "comfy", None),
        ({"": "", "'Tile batch size'": 1}, "meta", {"": "", "'Tile batch size'": 1}),
        ({"x": float("nan")}, "meta", {"x": None}),
    ],
)
def test_parameters(meta, name, value):
    for found in (answer(meta=meta), inline(meta)):
        assert getattr(found, name) == value
        assert found.provenance == "api"


@pytest.mark.parametrize(
    ("meta", "unresolved"),
    [
        (
            {"resources": [{"type": "model", "weight": None}]},
            [{"type": "model", "weight": None, "from": "resources"}],
        ),
        (
            {"hashes": {"lora:name with spaces": "AB"}},
            [{"name": "lora:name with spaces", "hash": "AB", "from": "hashes"}],
        ),
        ({"hashes": ["AB"]}, [{"hash": "AB", "from": "hashes"}]),
        (
            {"additionalResources": [{"name": "x", "strength": 0.7}, "y"]},
            [
                {"name": "x", "strength": 0.7, "from": "additionalResources"},
                {"value": "y", "from": "additionalResources"},
            ],
        ),
        (
            {"civitaiResources": [{"type": "embed", "modelVersionId": 5}]},
            [{"type": "embed", "modelVersionId": 5, "from": "civitaiResources"}],
        ),
        ({"resources": [], "hashes": {}}, []),
        ({"resources": None, "hashes": "AB"}, []),
    ],
)
def test_unresolved_resources_are_kept(meta, unresolved):
    assert answer(meta=meta).unresolved == unresolved


def test_resources_in_both_spellings():
    found = answer(
        resources=[
            {
                "imageId": 1,
                "modelVersionId": 5,
                "versionId": 5,
                "versionName": "v",
                "modelId": 6,
                "modelName": "m",
                "modelType": "LORA",
                "baseModel": "Pony",
                "strength": 0.8,
            },
            {"versionId": 7, "name": "older", "type": "embed", "weight": "1"},
            {},
        ]
    )
    assert found.resources == [
        Resource(
            version_id=5,
            version_name="v",
            model_id=6,
            model_name="m",
            type="LORA",
            base_model="Pony",
            strength=0.8,
        ),
        Resource(version_id=7, model_name="older", type="embed", strength=1.0),
        Resource(),
    ]
    assert found.extra == {}


def test_unreadable_resources_are_kept_as_received():
    found = answer(resources=["odd", {"modelVersionId": "x", "modelName": "m"}, {"modelId": 1}])
    assert [resource.model_name for resource in found.resources] == ["m", None]
    assert found.extra == {"resources": ["odd", {"modelVersionId": "x", "modelName": "m"}]}
    assert answer(resources={"odd": 1}).extra == {"resources": {"odd": 1}}


MANUAL = [{"modelVersionId": 5, "strength": None}]
FOUND = [{"modelVersionId": 5, "strength": 0.8}]


@pytest.mark.parametrize(
    ("fields", "has_meta", "state"),
    [
        ({"meta": {"prompt": "p"}}, None, "present"),
        ({"meta": {"prompt": ""}}, False, "present"),
        ({"meta": {"steps": 5}}, True, "absent"),
        ({"meta": None}, None, "absent"),
        ({"meta": None}, False, "absent"),
        ({"meta": None}, True, "hidden"),
        ({"meta": {}}, True, "hidden"),
        ({}, True, "hidden"),
        ({"hideMeta": True}, None, "hidden"),
        ({"hideMeta": True}, False, "hidden"),
        ({"hideMeta": False}, None, "absent"),
        ({"resources": FOUND}, None, "absent"),
        ({"resources": FOUND}, False, "absent"),
        ({"resources": FOUND, "meta": {"prompt": "p"}}, True, "present"),
        ({"resources": MANUAL, "canRemix": False}, None, "hidden"),
        ({"resources": MANUAL, "canRemix": False}, False, "absent"),
        ({"resources": MANUAL, "canRemix": True}, None, "absent"),
        ({"resources": MANUAL}, None, "absent"),
        ({"resources": [], "canRemix": False}, None, "absent"),
    ],
)
def test_prompt_state(fields, has_meta, state):
    found = answer(has_meta=has_meta, **fields)
    assert found.prompt_state == state
    assert found.provenance == ("api" if fields.get("meta") else None)


@pytest.mark.parametrize("meta", [None, {}, "", [], {"id": 1, "meta": None}, {"id": 1, "meta": {}}])
def test_no_inline_meta(meta):
    assert inline(meta) is None


def test_nested_inline_meta():
    found = inline({"id": 1, "meta": {"prompt": "p"}})
    assert (found.prompt, found.prompt_state, found.meta) == ("p", "present", {"prompt": "p"})
    assert (found.id, found.post_id, found.creator) == (1, 2, "fox")
    flat = inline({"prompt": "p", "meta": {"prompt": "other"}})
    assert flat.prompt == "p"


@pytest.mark.parametrize("meta", [["a"], "Steps: 20", 5])
def test_rotten_meta_is_kept(meta):
    for found in (inline(meta), answer(meta=meta)):
        assert found.extra == {"meta": meta}
        assert (found.prompt_state, found.provenance, found.meta) == ("absent", None, {})


def test_the_rest_of_the_answer():
    found = answer(
        process="img2img",
        onSite=True,
        tools=[{"id": 1}],
        techniques=None,
        external={},
        canRemix=False,
        remixOfId=7,
        displayKeys=None,
        meta={"process": "other", "extra": {"remixOfId": 8}},
    )
    assert (found.process, found.on_site, found.can_remix) == ("img2img", True, False)
    assert (found.tools, found.techniques, found.external) == ([{"id": 1}], [], None)
    assert found.remix_of_id == 7
    assert found.extra == {"displayKeys": None}


@pytest.mark.parametrize("data", [None, [], "text"])
def test_no_answer(data):
    with pytest.raises(BadRecordError, match="generation_data 1: expected an object"):
        parsers.generation_data(data, image_id=1)
