"""The commands beside crawl, as a user calls them."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request

import jsonschema
import pytest
from itemadapter import ItemAdapter
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings

from civitai_crawler.commands.schema import schemas
from civitai_crawler.items import FEEDS
from civitai_crawler.standin import Standin, World
from tests.cli import ROOT, crawl, feed, scrapy, start


def test_every_spider_is_named_like_its_module_and_class():
    loader = SpiderLoader(get_project_settings())
    assert loader.list()
    for name in loader.list():
        spider = loader.load(name)
        assert spider.__module__.rsplit(".", 1)[-1] == name
        assert spider.__name__ == "".join(map(str.title, name.split("_"))) + "Spider"


def test_every_field_has_its_meaning_in_the_schema():
    for stem, schema in schemas().items():
        assert set(schema["properties"]) == set(
            ItemAdapter.get_field_names_from_class(FEEDS[stem]) or ()
        )
        for name, field in schema["properties"].items():
            assert field.get("description"), f"{stem}.{name}"


def test_the_schema_command_prints_what_the_feeds_hold(tmp_path):
    ended = scrapy("schema", "models", "generation_data")
    assert ended.code == 0, ended.log
    printed = json.loads(ended.log)
    assert list(printed) == ["models", "generation_data"]
    with Standin.in_thread(World.small()) as standin:
        crawl(standin, tmp_path, username="lumen_fox", download="none")
    for stem, schema in schemas().items():
        for record in feed(tmp_path / "lumen_fox", stem):
            jsonschema.validate(record, schema)


def test_an_unknown_feed_is_refused_with_a_sentence():
    ended = scrapy("schema", "model")
    assert ended.code == 2
    assert "There is no feed 'model'" in ended.log
    assert "Traceback" not in ended.log


@pytest.mark.parametrize(
    ("name", "form", "cause"),
    [
        ("own.xyz", {"format": "xyz"}, "Unknown feed format: xyz"),
        ("nowhere://own.csv", {"format": "csv"}, "Unknown feed storage scheme: nowhere"),
        ("own.csv", {"format": "csv", "batch_item_count": 5}, "batch_item_count"),
    ],
)
def test_a_feed_that_cannot_be_made_ends_the_crawl_before_it_asks(tmp_path, name, form, cause):
    """Scrapy would go on and write no record at all."""
    with Standin.in_thread(World.small()) as standin:
        feeds = json.dumps({name: form})
        ended = crawl(standin, tmp_path, "user_models", "-s", f"FEEDS={feeds}", username="one_boat")
        assert standin.log.entries() == []
    assert ended.code == 2, ended.log
    assert cause in ended.log
    assert "A feed of -o or FEEDS cannot be made" in ended.sentences[-1]
    assert "Traceback" not in ended.log


def test_the_demo_ends_well_and_says_where_and_what(tmp_path):
    env = {  # of somebody's real archive, not for a demo
        "FILES_STORE": "s3://elsewhere/", "IMAGES_STORE": "s3://elsewhere/",
        "CIVITAI_REQUIRE_LOGIN": "true", "CIVITAI_FEED_FORMAT": "csv",
    }  # fmt: skip
    ended = scrapy("demo", "--folder", str(tmp_path / "demo"), env=env, timeout=200)
    assert ended.code == 0, ended.log
    assert str(tmp_path / "demo" / "lumen_fox") in ended.log
    assert ended.log.rstrip().endswith("Complete.")


def test_a_demo_that_cannot_begin_says_why_in_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    ended = scrapy("demo", "--folder", str(tmp_path / "file"))
    assert ended.code == 1
    (sentence,) = ended.sentences
    assert f"The job folder {tmp_path}/file/lumen_fox/.job cannot be used" in sentence
    assert "Traceback" not in ended.log
    assert "NOT complete" not in ended.log


def test_the_demo_says_so_when_something_is_missing(tmp_path):
    folder = tmp_path / "demo"
    without = ("-s", "CIVITAI_DOWNLOAD=none")
    ended = scrapy("demo", "--folder", str(folder), *without, timeout=200)
    assert ended.code == 1, ended.log
    assert ended.log.rstrip().endswith("NOT complete.")
    assert "files on disk" in ended.log


def test_the_stand_in_is_served_until_it_is_interrupted(tmp_path):
    log = tmp_path / "log"
    process = start("standin", "--small", log=log)
    try:
        while "ca_file" not in log.read_text() and "storage_url" not in log.read_text():
            assert process.poll() is None, log.read_text()
        lines = dict(line.split("=", 1) for line in log.read_text().splitlines())
        address = f"{lines['site_url']}/api/v1/models?username=lumen_fox"
        with urllib.request.urlopen(address) as answer:
            assert json.load(answer)["items"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize("args", [["--fault", "nosuch=1"], ["surplus"]])
def test_a_wrong_option_of_the_stand_in_is_one_sentence(args):
    ended = scrapy("standin", *args)
    assert ended.code == 2
    assert "nosuch" in ended.log or "surplus" in ended.log
    assert "Traceback" not in ended.log


def test_the_help_of_crawl_names_spiders_and_exit_codes():
    ended = scrapy("crawl", "--help")
    assert ended.code == 0
    assert "user_models" in ended.log
    assert "Exit codes" in ended.log
    assert "scrapy crawl post_pages -a post_id=..." in ended.log


@pytest.mark.parametrize("asked", [("--help",), ("-h",), ("-a", "help")])
def test_a_spider_tells_its_arguments(asked):
    ended = scrapy("crawl", "user_models", *asked)
    assert ended.code == 0, ended.log
    assert "scrapy crawl user_models -a username=..." in ended.log
    assert "  dry_run: true walks the lists" in ended.log
    assert "  fresh: true starts anew" in ended.log
    assert "post_pages" not in ended.log
    assert "Traceback" not in ended.log


def test_a_forgotten_creator_is_one_sentence():
    ended = scrapy("crawl", "user_models")
    assert ended.code == 2
    assert "user_models needs the argument username: -a username=" in ended.log
    assert "Traceback" not in ended.log


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("crawl", "user_models", "-a", "username=lumen_fox"), 2),
        (("verify", "tests"), 2),
        (("doctor",), 1),
    ],
)
def test_a_language_without_utf8_is_one_sentence(args, code, tmp_path):
    """Otherwise names with a letter of another language fail, each with a traceback."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "CIVITAI_ARCHIVE": str(tmp_path)}
    env |= {"CIVITAI_BASE_URL": "http://127.0.0.1:1"}
    ended = scrapy(*args, env=env)
    assert ended.code == code, ended.log
    assert "File names cannot be written here as UTF-8, but as ascii" in ended.log
    assert "Traceback" not in ended.log


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("-L", "debug"), "LOG_LEVEL cannot be 'debug': expected one of DEBUG, INFO"),
        (("--logfile", "/nowhere/x.log"), "The log file /nowhere/x.log cannot be written: No such"),
    ],
)
def test_a_log_that_cannot_be_is_one_sentence(option, sentence):
    ended = scrapy("crawl", "user_models", "-a", "username=lumen_fox", *option)
    assert ended.code == 2
    assert sentence in ended.log
    assert "Traceback" not in ended.log


def test_the_development_script_tells_its_commands():
    told = subprocess.run([ROOT / "dev"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "./dev demo" in told.stdout
