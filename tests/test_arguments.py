"""Spider arguments: everything a person may paste is read, everything wrong is one sentence."""

from __future__ import annotations

import inspect

import pytest

from civitai_crawler.exceptions import UsageError
from civitai_crawler.spiders import arguments
from civitai_crawler.spiders.generation_data import GenerationDataSpider
from civitai_crawler.spiders.image_pages import ImagePagesSpider
from civitai_crawler.spiders.post_pages import PostPagesSpider
from civitai_crawler.spiders.user_models import UserModelsSpider

SPIDERS = [UserModelsSpider, PostPagesSpider, ImagePagesSpider, GenerationDataSpider]


@pytest.mark.parametrize("spider", SPIDERS)
def test_every_argument_is_told_in_the_docstring_of_its_spider(spider):
    for name in inspect.signature(spider).parameters:
        assert f"{name.rstrip('_')}" in spider.__doc__


@pytest.mark.parametrize(
    ("spider", "given", "sentence"),
    [
        (UserModelsSpider, {"usrname": "x"}, "no argument 'usrname'. Did you mean username?"),
        (UserModelsSpider, {}, "needs the argument username"),
        (UserModelsSpider, {"username": ""}, "needs the argument username"),
        (PostPagesSpider, {"post_id": "1", "level": "1", "x": "2"}, "no argument 'x'"),
    ],
)
def test_wrong_names_of_arguments_are_refused(spider, given, sentence):
    with pytest.raises(UsageError) as error:
        arguments.check(spider, given)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"include": "models,pots"}, "'pots' is none of models, posts, images, generation"),
        ({"download": "all"}, "'all' is none of images, files"),
        ({"api": "soap"}, "expected one of rest, trpc"),
        ({"gallery": "maybe"}, "expected one of true, false"),
        ({"types": "LORA,Chekpoint"}, "'Chekpoint' is no type. Did you mean Checkpoint?"),
        ({"level": "64"}, "expected a sum of"),
        ({"level": "x"}, "expected a sum of"),
        ({"since": "yesterday"}, "expected a date"),
        ({"username": "a,b"}, "one creator"),
        ({"username": "@/nowhere/list"}, "cannot be read"),
    ],
)
def test_wrong_values_are_refused_with_a_sentence(given, sentence):
    with pytest.raises(UsageError) as error:
        UserModelsSpider(**{"username": "ada", **given})
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_types_are_asked_for_as_the_site_spells_them():
    """It refuses any other spelling, and the request would stay for the next run."""
    spider = UserModelsSpider(username="ada", types="lora, LoCon,Of tomorrow")
    assert spider.types == ["LORA", "LoCon", "Of tomorrow"]


def test_base_models_are_asked_for_as_the_site_spells_them():
    """Its filter minds the case, so another one would choose nothing."""
    spider = UserModelsSpider(username="ada", base_models="sdxl 1.0, pony V7,Flux.9 d")
    assert spider.base_models == ["SDXL 1.0", "Pony V7", "Flux.9 d"]


def test_a_creator_may_be_a_link():
    spider = UserModelsSpider(username="https://civitai.com/user/Ada_L/models?sort=Newest")
    assert spider.username == "Ada_L"
    assert spider.archive == "ada_l"


def test_ids_come_from_links_lists_and_files(tmp_path):
    listing = tmp_path / "posts.txt"
    listing.write_text("# mine\n11\nhttps://civitai.com/posts/12?x=1\n\n11\n", encoding="utf-8")
    assert PostPagesSpider(post_id=f"@{listing}").post_ids == [11, 12]
    assert PostPagesSpider(post_id="3, https://civitai.red/posts/4").post_ids == [3, 4]
    with pytest.raises(UsageError, match="nothing is named"):
        PostPagesSpider(post_id=",")


def test_images_come_from_feeds(tmp_path):
    (tmp_path / "images.jsonl").write_text('{"id": 5}\n{"id": 6}\n{"id": 5}\n')
    (tmp_path / "images.csv").write_text("id,name\n7,x\n")
    assert GenerationDataSpider(from_=str(tmp_path / "images.jsonl")).image_ids == [5, 6]
    both = GenerationDataSpider(from_=str(tmp_path / "images.csv"), image_id="8")
    assert both.image_ids == [7, 8]
    large = "x" * 200_000  # more than the csv module takes unasked
    (tmp_path / "images.csv").write_text(f'id,meta\n9,"{large}"\n')
    assert GenerationDataSpider(from_=str(tmp_path / "images.csv")).image_ids == [9]
    for wrong in ('{"id": 1e999}', "[" * 100_000, "5"):
        (tmp_path / "images.jsonl").write_text(f"{wrong}\n")
        with pytest.raises(UsageError, match="no feed"):
            GenerationDataSpider(from_=str(tmp_path / "images.jsonl"))
    (tmp_path / "images.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="no feed"):
        GenerationDataSpider(from_=str(tmp_path / "images.jsonl"))
    with pytest.raises(UsageError, match="cannot be read"):
        GenerationDataSpider(from_=str(tmp_path / "none.jsonl"))
    with pytest.raises(UsageError, match="needs -a image_id"):
        GenerationDataSpider()


def test_a_keyword_of_python_is_an_argument_all_the_same():
    assert arguments.check(GenerationDataSpider, {"from": "x"}) == {"from_": "x"}


def test_a_flag_may_be_a_flag():
    assert arguments.flag("posts", text=True) is True
