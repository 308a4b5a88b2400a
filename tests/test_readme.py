"""The README says what the code does: its tables are the classes' and the settings' own."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from civitai_crawler.items import FEEDS, Record
from civitai_crawler.options import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMON = {"id", *(field.name for field in dataclasses.fields(Record))}


def row(name: str) -> str:
    found: list[str] = re.findall(rf"^\| `{name}` \|(.*)\|$", README, re.MULTILINE)
    return found[-1]


@pytest.mark.parametrize(("feed", "item"), FEEDS.items())
def test_the_field_table_names_the_fields_of_each_class(feed, item):
    fields = [field.name for field in dataclasses.fields(item) if field.name not in COMMON]
    assert re.findall(r"`(\w+)`", row(feed)) == fields


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_the_settings_table_tells_default_and_meaning(option):
    default = f"`{option.default}`" if option.default != "" else "-"
    assert row(option.name).strip() == f"{default} | {option.meaning}"


def test_the_example_environment_names_real_settings():
    names = re.findall(r"^#?(CIVITAI_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert names
    assert set(names) <= set(OPTIONS)
