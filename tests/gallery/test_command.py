"""``scrapy browse`` as it is typed: wrong input ends in one sentence."""

from __future__ import annotations

import argparse
import signal
import socket

import pytest

from civitai_crawler.commands.browse import _port
from tests.cli import scrapy, start
from tests.gallery.conftest import gallery


def browse(*args, **env):
    ended = scrapy("browse", *map(str, args), env=env)
    return ended.code, ended.log.strip().splitlines()


@pytest.fixture
def small(tmp_path):
    (tmp_path / "images.jsonl").write_text('{"id": 1, "type": "image"}\n')
    return tmp_path


def test_no_archive(tmp_path):
    code, said = browse(tmp_path)
    assert (code, said[-1].partition("error: ")[2]) == (
        2,
        f"{tmp_path} is no archive: there are no feeds such as images.jsonl.",
    )
    code, said = browse()
    assert code == 2
    assert "Name an archive: scrapy browse archive/NAME" in said[-1]


def test_a_port_that_is_taken(small):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = browse(small, "--port", port)
    assert code == 2
    assert f"Nothing can be served at 127.0.0.1:{port}: Address already in use." in said[-1]
    assert "Traceback" not in "".join(said)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", f"{'a' * 70}.b"])
def test_a_host_that_is_none(small, host):
    code, said = browse(small, "--host", host)
    assert code == 2
    assert f"Nothing can be served at {host}:8765: it is no address of this machine." in said[-1]
    assert "Traceback" not in "".join(said)


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_is_none(port):
    with pytest.raises(argparse.ArgumentTypeError, match="between 0 and 65535"):
        _port(port)


def test_the_optional_part_is_not_installed(small, tmp_path):
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "starlette.py").write_text("raise ModuleNotFoundError(name='starlette')")
    code, said = browse(small, "--port", "0", PYTHONPATH=str(absent))
    assert code == 2
    assert "'browse' (starlette is not installed)" in said[-1]
    assert said[-1].endswith('Run: pip install "civitai_crawler[browse]"')
    assert "Traceback" not in "".join(said)


def test_a_cache_that_cannot_be_written(small):
    code, said = browse(small, "--port", "0", "--cache", small / "images.jsonl" / "x")
    assert code == 2
    assert "cannot be written" in said[-1]


def test_several_archives_and_a_cache_elsewhere(small, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "images.jsonl").write_text('{"id": 2, "type": "image"}\n')
    with gallery(tmp_path, "--cache", tmp_path / "cache") as site:
        assert site.get("/images").cards == [2, 1]
    assert list((tmp_path / "cache").glob("*.sqlite"))
    assert not (tmp_path / ".job").exists()


def test_damage_is_told_and_passed_over(small):
    with (small / "images.jsonl").open("a") as stream:
        stream.write("{torn\n")
    with gallery(small) as site:
        assert site.total("/images") == 1


def test_damage_is_told_without_what_a_terminal_would_obey(small, tmp_path):
    (small / "failures.jsonl").write_text('{"id": "\\u001b[2J", "kind": 5, "reason": "x"}\n')
    env = {"XDG_STATE_HOME": str(tmp_path)}
    with start("browse", str(small), "--port", "0", env=env) as process:
        process.stdout.readline()
        told = process.stdout.readline().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert told.startswith("Passed over in failures.jsonl: record \\x1b[2J: ")
