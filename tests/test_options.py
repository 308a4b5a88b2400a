"""Our settings: what does not exist or does not parse is an error, not a shrug."""

from __future__ import annotations

import subprocess
import sys

import pytest

from civitai_crawler import options
from civitai_crawler.exceptions import UsageError
from tests.cli import ROOT, environment


def test_the_first_source_that_tells_a_value_wins():
    found = options.defaults({"CIVITAI_API_KEY": ""}, {"CIVITAI_API_KEY": "k", "HOME": "/"})
    assert found["CIVITAI_API_KEY"] == "k"
    assert found["CIVITAI_REQUEST_INTERVAL"] == 1.5
    assert "HOME" not in found


def test_all_defaults_pass_their_own_check():
    options.check(options.defaults())


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CIVITAI_BASE_URL", "civitai.com", "an address like"),
        ("CIVITAI_BASE_URL", "ftp://civitai.com", "an address like"),
        ("CIVITAI_BASE_URL", "https://civitai.red/models", "scheme and host alone"),
        ("CIVITAI_BASE_URL", "https://me:pass@civitai.red", "its value: expected scheme and host"),
        ("CIVITAI_ARCHIVE", " ", "expected a folder"),
        ("CIVITAI_REQUEST_INTERVAL", "soon", "could not convert"),
        ("CIVITAI_REQUEST_INTERVAL", "-1", "at least 0"),
        ("CIVITAI_REQUEST_INTERVAL", "inf", "at least 0"),
        ("CIVITAI_BATCH_SIZE", "0", "at least 1"),
        ("CIVITAI_REQUIRE_LOGIN", "perhaps", "true or false"),
        ("CIVITAI_EXCLUDE", "poi,nsfw", "'nsfw' is none of poi, minor"),
        ("CIVITAI_FEED_FORMAT", "xml", "one of jsonlines, csv"),
        ("CIVITAI_DOWNLOAD", "everything", "none of images, files"),
    ],
)
def test_a_value_that_does_not_parse_is_named(name, value, told):
    with pytest.raises(UsageError) as error:
        options.check({name: value})
    assert name in str(error.value)
    assert told in str(error.value)


def test_a_setting_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(UsageError, match=r"CIVITAI_COOKIE\. Did you mean CIVITAI_COOKIES"):
        options.check({}, ["CIVITAI_COOKIE"])


def test_nothing_may_be_excluded_by_saying_so():
    options.check({"CIVITAI_EXCLUDE": "none"})
    assert options.words_of("none") == []


@pytest.mark.parametrize("place", [".", "docs", "docs/more"])
def test_the_file_beside_scrapy_cfg_is_read_from_every_folder_of_the_project(tmp_path, place):
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = civitai_crawler.settings\n")
    (tmp_path / ".env").write_text("CIVITAI_REQUEST_INTERVAL=7.5\nAWS_REGION_NAME=moon\n")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, value in (("CIVITAI_REQUEST_INTERVAL", "7.5"), ("AWS_REGION_NAME", "moon")):
        told = subprocess.run(
            [sys.executable, "-m", "scrapy", "settings", "--get", name],
            cwd=tmp_path / place, env=environment(PYTHONPATH=str(ROOT)), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert told.stdout.strip() == value


def test_a_setting_that_does_not_exist_is_named_from_the_file_too(tmp_path):
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = civitai_crawler.settings\n")
    (tmp_path / ".env").write_text("CIVITAI_API_KEYS=s3cret\n")
    told = subprocess.run(
        [sys.executable, "-m", "scrapy", "crawl", "user_models", "-a", "username=ada"],
        cwd=tmp_path, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert told.returncode == 2, told.stderr
    assert "There is no setting CIVITAI_API_KEYS. Did you mean CIVITAI_API_KEY?" in told.stderr
    assert "s3cret" not in told.stderr + told.stdout


def test_a_file_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = civitai_crawler.settings\n")
    (tmp_path / ".env").write_text("CIVITAI_API_KEY=s3cret\n", encoding="utf-16")
    told = subprocess.run(
        [sys.executable, "-m", "scrapy", "doctor"],
        cwd=tmp_path, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert told.stderr == f"{tmp_path / '.env'} is no UTF-8 text.\n"
