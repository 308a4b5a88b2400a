"""Exports of model files: where each goes, under which name, and what goes along."""

from __future__ import annotations

import json

import pytest

from civitai_crawler.archive import records
from civitai_crawler.export.companions import SIDECARS
from civitai_crawler.export.names import Names
from civitai_crawler.export.trees import PLACES, kind
from civitai_crawler.items import Model, ModelFile, ModelVersion
from tests.export_support import export, make, snapshot, tree


def archived(archive, *files, model_type="LORA", version_id=7):
    """Make an archive of files ``(id, path, {fields})``, each with its id as its bytes."""
    return make(
        archive,
        Model(id=5, creator="fox", name="Fox", type=model_type),
        ModelVersion(id=version_id, model_id=5, name="v1"),
        *(
            ModelFile(id=number, version_id=version_id, model_id=5, name="", path=path, **fields)
            for number, path, fields in files
        ),
        files={path: b"%d" % number for number, path, _ in files if path},
    )


@pytest.mark.parametrize(
    ("model_type", "webui", "comfyui"),
    [
        ("Checkpoint", "models/Stable-diffusion", "models/checkpoints"),
        ("LORA", "models/Lora", "models/loras"),
        ("LoCon", "models/Lora", "models/loras"),
        ("DoRA", "models/Lora", "models/loras"),
        ("TextualInversion", "embeddings", "models/embeddings"),
        ("Hypernetwork", "models/hypernetworks", "models/hypernetworks"),
        ("VAE", "models/VAE", "models/vae"),
        ("Controlnet", "models/ControlNet", "models/controlnet"),
        ("Upscaler", "models/ESRGAN", "models/upscale_models"),
        ("TextEncoder", "models/text_encoder", "models/text_encoders"),
        ("CLIP", "models/text_encoder", "models/text_encoders"),
        ("CLIPVision", None, "models/clip_vision"),
        ("UNet", "models/Stable-diffusion", "models/diffusion_models"),
        ("MotionModule", "extensions/sd-webui-animatediff/model", "models/animatediff_models"),
        ("Detection", "models/adetailer", "models/ultralytics"),
        ("Wildcards", "extensions/sd-dynamic-prompts/wildcards", None),
        ("Workflows", None, "user/default/workflows"),
        ("ComfyWorkflows", None, "user/default/workflows"),
        ("Poses", None, None),
        ("LLM", None, None),
        ("Other", None, None),
        ("Something New", None, None),
    ],
)
def test_each_type_of_model_has_its_place(tmp_path, model_type, webui, comfyui):
    archive = archived(tmp_path / "fox", (1, "m/a.pt", {"type": "Model"}), model_type=model_type)
    for to, place in (("webui", webui), ("comfyui", comfyui)):
        ended = export(to, tmp_path / to, archive)
        found = tree(tmp_path / to) - {"extra_model_paths.yaml"}
        assert (ended.code, found) == (0, {f"{place}/a.pt"} if place else set())
        assert (f"1 of type {model_type}" in ended.log) == (place is None)


@pytest.mark.parametrize(
    ("file_type", "file_format", "expected"),
    [
        ("Model", "SafeTensor", "Checkpoint"),
        ("Pruned Model", None, "Checkpoint"),
        (None, None, "Checkpoint"),
        ("Model", "GGUF", "UNet"),
        ("Diffusion Model", "GGUF", "UNet"),
        ("VAE", "PickleTensor", "VAE"),
        ("Negative", None, "TextualInversion"),
        ("Text Encoder", None, "TextEncoder"),
        ("Vision Encoder", None, "CLIPVision"),
        ("ControlNet", None, "Controlnet"),
        ("Enhancement LoRA", None, "LORA"),
        ("Workflow", None, "ComfyWorkflows"),
    ],
)
def test_the_type_of_a_file_goes_before_that_of_its_model(file_type, file_format, expected):
    file = ModelFile(id=1, version_id=1, model_id=1, name="", type=file_type, format=file_format)
    assert kind(file, "Checkpoint") == expected


def test_training_data_and_dangerous_files_stay_out(tmp_path):
    archive = archived(
        tmp_path / "fox",
        (1, "train.zip", {"type": "Training Data"}),
        (2, "evil.pt", {"pickle_scan_result": "Danger"}),
        (3, "worm.pt", {"virus_scan_result": "Danger"}),
        (4, None, {}),
    )
    ended = export("webui", tmp_path / "out", archive)
    assert (ended.code, tree(tmp_path / "out")) == (3, set())
    assert ended.log.splitlines()[-1].endswith(
        "Left out: 2 dangerous, 1 never fetched. Not chosen: 1 of type Training Data."
    )


def is_beside(name):
    return name.endswith(SIDECARS) or ".preview." in name


@pytest.mark.parametrize("to", ["webui", "comfyui"])
def test_a_crawled_archive_is_laid_out_whole(crawled, tmp_path, to):
    export(to, tmp_path / "out", crawled)
    types = {one.id: one.type for one in records(crawled, Model)}
    expected = {
        one.sha256: PLACES[to][kind(one, types.get(one.model_id or 0))]
        for one in records(crawled, ModelFile)
        if one.path
        and kind(one, types.get(one.model_id or 0)) in PLACES[to]
        and "Danger" not in (one.pickle_scan_result, one.virus_scan_result)
    }
    assert len(expected) > 20
    found = {
        digest: name.rpartition("/")[0]
        for name, (digest, _) in snapshot(tmp_path / "out").items()
        if not name.startswith(".") and name != "extra_model_paths.yaml" and not is_beside(name)
    }
    assert found == expected
    assert [name for name in tree(tmp_path / "out") if name.endswith(".civitai.info")]


def test_names_are_unique_on_every_file_system(tmp_path):
    """Also those whose sidecars would be one file, and whatever the order of the runs is."""
    paths = ["a/x.safetensors", "b/x.safetensors", "c/X.SafeTensors", "d/x.pt",
             "e/caf\u00e9.pt", "f/cafe\u0301.pt"]  # fmt: skip
    archive = archived(tmp_path / "fox", *((n, path, {}) for n, path in enumerate(paths, 1)))
    expected = {
        "models/Lora/x.safetensors", "models/Lora/x (2).safetensors",
        "models/Lora/X (3).SafeTensors", "models/Lora/x (4).pt",
        "models/Lora/caf\u00e9.pt", "models/Lora/cafe\u0301 (6).pt",
    }  # fmt: skip
    for more in ([], [], ["--copy"]):
        assert export("webui", tmp_path / "out", archive, *more).code == 0
        assert tree(tmp_path / "out") == expected
    other = archived(tmp_path / "hare", (9, "x.safetensors", {}))
    export("webui", tmp_path / "other", other, archive)
    export("webui", tmp_path / "other", archive)
    assert tree(tmp_path / "other") == (expected - {"models/Lora/x.safetensors"}) | {
        "models/Lora/x.safetensors", "models/Lora/x (1).safetensors",
    }  # fmt: skip
    assert (tmp_path / "other/models/Lora/x.safetensors").read_bytes() == b"9"


def test_a_name_that_another_file_has_taken_is_left_to_it(tmp_path):
    (tmp_path / "place").mkdir()
    for name in ("x.pt", "x (1).pt"):
        (tmp_path / "place" / name).write_bytes(b"somebody else's")
    (tmp_path / "source.pt").write_bytes(b"ours")
    target = Names(tmp_path, {}).target(tmp_path / "place", "x", ".pt", tmp_path / "source.pt", 1)
    assert target.name == "x (1-2).pt"


def test_a_config_takes_the_name_of_its_checkpoint(tmp_path):
    archive = archived(
        tmp_path / "fox",
        (1, "m/boat.yaml", {"type": "Config"}),
        (2, "m/boatMix.safetensors", {"type": "Model"}),
        (3, "m/boat.vae.pt", {"type": "VAE"}),
        model_type="Checkpoint",
    )
    export("webui", tmp_path / "w", archive)
    assert tree(tmp_path / "w") == {
        "models/Stable-diffusion/boatMix.safetensors",
        "models/Stable-diffusion/boatMix.yaml",
        "models/VAE/boat.vae.pt",
    }
    export("comfyui", tmp_path / "c", archive)
    assert tree(tmp_path / "c") == {
        "extra_model_paths.yaml",
        "models/checkpoints/boatMix.safetensors",
        "models/configs/boat.yaml",
        "models/vae/boat.vae.pt",
    }


def test_comfyui_finds_the_tree_where_it_lies(tmp_path):
    export("comfyui", tmp_path / 'a "b"', archived(tmp_path / "fox", (1, "a.pt", {})))
    lines = (tmp_path / 'a "b"/extra_model_paths.yaml').read_text().splitlines()
    assert lines[0] == "civitai:"
    assert json.loads(lines[1].partition(": ")[2]) == str(tmp_path / 'a "b"/models')
    assert "    loras: loras" in lines
    assert "    checkpoints: checkpoints" in lines


ENDINGS = (
    ".civitai.info", ".json", ".metadata.json", ".cm-info.json", ".swarm.json", ".preview.jpeg",
)  # fmt: skip


@pytest.fixture
def with_sidecars(tmp_path):
    archive = archived(tmp_path / "fox", (1, "a/x.safetensors", {}), (2, "b/x.safetensors", {}))
    told = {"file_name": "x", "file_path": "/old/a/x.safetensors", "sha256": "aa",
            "preview_url": "/old/a/x.preview.jpeg"}  # fmt: skip
    sidecars = {f"{folder}/x{ending}": ending.encode() for folder in "ab" for ending in ENDINGS}
    sidecars |= {f"{folder}/x.metadata.json": json.dumps(told).encode() for folder in "ab"}
    make(archive, files=sidecars | {"a/x.txt": b"", "a/x2.json": b"", "a/x.safetensors.bak": b""})
    return archive


def test_sidecars_and_previews_go_along_under_the_new_name(with_sidecars, tmp_path):
    assert export("webui", tmp_path / "out", with_sidecars).code == 0
    stems = ("models/Lora/x", "models/Lora/x (2)")
    assert tree(tmp_path / "out") == {
        stem + ending for stem in stems for ending in (".safetensors", *ENDINGS)
    }
    moved = json.loads((tmp_path / "out/models/Lora/x (2).metadata.json").read_text())
    assert moved == {
        "file_name": "x (2)",
        "file_path": (tmp_path / "out/models/Lora/x (2).safetensors").as_posix(),
        "sha256": "aa",
        "preview_url": (tmp_path / "out/models/Lora/x (2).preview.jpeg").as_posix(),
    }


def test_sidecars_are_copies_that_their_users_may_change(with_sidecars, tmp_path):
    before = snapshot(with_sidecars)
    export("comfyui", tmp_path / "out", with_sidecars)
    for ending in ENDINGS:
        file = tmp_path / f"out/models/loras/x{ending}"
        file.write_bytes(b"edited")
    assert snapshot(with_sidecars) == before
    (tmp_path / "out/models/loras/x (2).swarm.json").unlink()
    export("comfyui", tmp_path / "out", with_sidecars)
    assert (tmp_path / "out/models/loras/x.metadata.json").read_bytes() == b"edited"
    assert (tmp_path / "out/models/loras/x.preview.jpeg").read_bytes() == b"edited"
    assert (tmp_path / "out/models/loras/x (2).swarm.json").read_bytes() == b".swarm.json"


@pytest.mark.parametrize("options", [(), ("--copy",)])
def test_a_model_file_that_its_user_has_edited_stays_the_only_one(tmp_path, options):
    archive = archived(tmp_path / "fox", (1, "m/x.safetensors", {}), (2, "n/x.safetensors", {}))
    export("webui", tmp_path / "out", archive, *options)
    files = ["models/Lora/x (2).safetensors", "models/Lora/x.safetensors"]
    for name in files:
        (tmp_path / "edited").write_bytes(b"with other metadata")
        (tmp_path / "edited").replace(tmp_path / "out" / name)
    for _ in range(2):
        ended = export("webui", tmp_path / "out", archive, *options)
        assert "Exported 0 files" in ended.log
        assert "2 were there before" in ended.log
        assert sorted(tree(tmp_path / "out")) == files
    (archive / "m/x.safetensors").write_bytes(b"replaced by its creator")
    export("webui", tmp_path / "out", archive, *options)
    added = tmp_path / "out/models/Lora/x (1).safetensors"
    assert added.read_bytes() == b"replaced by its creator"


@pytest.mark.parametrize("data", [b"{torn", b"[1]", b"\xff", b'{"preview_url": null}'])
def test_a_damaged_sidecar_costs_nothing(with_sidecars, tmp_path, data):
    make(with_sidecars, files={"a/x.metadata.json": data})
    assert export("webui", tmp_path / "out", with_sidecars).code == 0
    assert (tmp_path / "out/models/Lora/x.metadata.json").stat().st_size
