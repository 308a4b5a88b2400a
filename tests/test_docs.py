"""The pages tell the truth: commands work, links lead somewhere, no error is left out."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings

from civitai_crawler import options
from civitai_crawler.options import OPTIONS
from civitai_crawler.spiders import arguments
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, ROOT, environment, pointed_at, scrapy
from tests.sentences import sentences

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
#: Words of the pages that stand for something of the reader's.
STANDING_FOR = {
    "NAME": "one_boat", "OTHER": "lumen_fox", "@names.txt": "one_boat", "FORMAT": "hf",
}  # fmt: skip
USER = "one_boat"
_END = {"&", "&&", "|", ">", "2>"}


def blocks(page: Path, kinds: str) -> list[str]:
    return re.findall(
        rf"^ *```(?:{kinds})\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(page: Path) -> list[list[str]]:
    """Return the words behind ``scrapy`` of each command that a page shows."""
    lines = [
        line for text in blocks(page, "sh|console|powershell|ini|") for line in text.splitlines()
    ]
    lines += re.findall(r"`(scrapy [^`]+)`", page.read_text("utf-8"))
    found = []
    for line in lines:
        # The command itself, not a path or a name that ends in its name.
        if shown := re.search(r"(?:^|[\s/\\$=])scrapy ([a-z].*)", line):
            words = shlex.split(shown[1])
            end = next((at for at, word in enumerate(words) if word in _END), len(words))
            found.append(words[:end])
    return found


ALL = [(page.name, words) for page in PAGES for words in commands(page)]


def filled_in(word: str, archive: Path | str = "archive") -> str:
    """Put something real in the place of what stands for the reader's own."""
    word = word.replace("archive/NAME", f"{archive}/{USER}")
    for name, value in STANDING_FOR.items():
        word = re.sub(rf"(?<![\w]){re.escape(name)}(?!\w)", value, word)
    return word


def test_the_pages_show_commands():
    names = {words[0] for _, words in ALL}
    assert {"crawl", "doctor", "demo", "verify", "schema", "standin"} <= names
    assert len([words for _, words in ALL if words[0] == "crawl"]) > 20


@pytest.mark.parametrize(("page", "words"), ALL, ids=[" ".join(words)[:60] for _, words in ALL])
def test_every_command_that_is_shown_is_understood(page, words, tmp_path, monkeypatch):
    name, *rest = words
    settings = get_project_settings()
    ours = (ROOT / "civitai_crawler" / "commands" / f"{name}.py").exists()
    package = "civitai_crawler" if ours else "scrapy"
    command = importlib.import_module(f"{package}.commands.{name}").Command()
    command.settings = settings
    if ours and name != "crawl" and rest == ["--help"]:
        return
    parser = argparse.ArgumentParser(conflict_handler="resolve", exit_on_error=False)
    command.add_options(parser)
    opts, args = parser.parse_known_args([filled_in(word) for word in rest])
    assert not [word for word in args if word.startswith("-")], f"{page}: {words}"
    given = dict(pair.split("=", 1) for pair in getattr(opts, "set", None) or [])
    options.check(given)
    if name != "crawl" or args[:1] == ["SPIDER"] or not args:
        return
    spider: Any = SpiderLoader.from_settings(settings).load(args[0])
    assert len(args) == 1, f"{page}: {words}"
    if not opts.help:
        pairs = dict(pair.split("=", 1) for pair in opts.spargs)
        spider.preflight(_in(settings, tmp_path), pairs)
        for one in pairs["username"].split(",") if "username" in pairs else [None]:
            spider(**arguments.check(spider, {**pairs, **({"username": one} if one else {})}))


def _in(settings, folder):
    settings.set("CIVITAI_ARCHIVE", str(folder))
    return settings


def test_the_commands_of_the_pages_work_one_after_the_other(tmp_path):
    """A reader's first day: doctor, dry run, crawl, again, verify."""
    pages = ("archive-a-creator.md", "keep-it-up-to-date.md")
    day = [words for page, words in ALL if page in pages]
    crawl = ["crawl", "user_models", "-a", "username=NAME"]
    doctor, dry, verify = ["doctor"], [*crawl, "-a", "dry_run=true"], ["verify", "archive/NAME"]
    for words in (doctor, dry, crawl, verify):
        assert words in day
    with Standin.in_thread(World.small()) as standin:
        env = pointed_at(standin, tmp_path)
        for words, codes in ((doctor, (0,)), (dry, (0,)), (crawl, DONE), (verify, (0,))):
            ended = scrapy(*(filled_in(word, tmp_path) for word in words), env=env)
            assert ended.code in codes, ended.log


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page):
    names = set(re.findall(r"CIVITAI_[A-Z_]*[A-Z]", page.read_text("utf-8")))
    assert names <= set(OPTIONS), names - set(OPTIONS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not target.startswith(("https://", "http://")):
            path, _, heading = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            assert linked.exists(), f"{page.name}: {target}"
            titles = (
                re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE) if heading else []
            )
            slugs = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
            assert not heading or heading in slugs, f"{page.name}: {target}"


def told() -> list[str]:
    """Return the sentences of the troubleshooting page."""
    rows = re.findall(r"^\| (`.*?) \|", TROUBLESHOOTING.read_text("utf-8"), re.MULTILINE)
    return [sentence for row in rows for sentence in re.findall(r"`([^`]+)`", row)]


def test_every_sentence_of_the_code_is_explained():
    page = told()
    unknown = [
        text for text, pattern in sentences().items() if not any(map(pattern.fullmatch, page))
    ]
    assert unknown == [], "docs/troubleshooting.md does not explain:\n" + "\n".join(unknown)


def test_every_explained_sentence_is_in_the_code():
    patterns = sentences().values()
    # A pattern that fits nearly anything proves nothing.
    made_up = "The moon is made of cheese."
    assert not any(pattern.fullmatch(made_up) for pattern in patterns)
    gone = [text for text in told() if not any(pattern.fullmatch(text) for pattern in patterns)]
    assert gone == [], f"the code does not say (any more): {gone}"


def normal(text: str, folder: Path) -> list[str]:
    """Leave out where it ran; every number stands for itself."""
    return text.replace(str(folder.resolve()), "/home/you/civitai_crawler").rstrip().splitlines()


def test_the_session_in_the_readme_is_what_the_commands_print(tmp_path):
    (shown,) = blocks(ROOT / "README.md", "console")
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = civitai_crawler.settings\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed: list[str] = []
    asked = [line[2:] for line in shown.splitlines() if line.startswith("$ ")]
    assert len(asked) == 3
    for command in asked:
        ended = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment(PATH=path), check=True,
            capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        printed += [f"$ {command}", *normal(ended.stdout, tmp_path)]
    same = shown.rstrip().splitlines() == printed
    differ = difflib.unified_diff(shown.splitlines(), printed, "README.md", "printed", lineterm="")
    assert same, "The README shows another session:\n" + "\n".join(differ)
