"""The report in words: ``report.md``, and the last lines of the log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.amounts import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from civitai_crawler.extensions.account import Account

_FILES = {"model_files": "model files", "images": "originals"}
_LEVELS = {1: "PG", 2: "PG-13", 4: "R", 8: "X", 16: "XXX"}
_ALL = 31
#: Rows of a table that a person still reads; ``report.json`` has them all.
_ROWS = 500


def lines(told: Account) -> list[str]:
    """Put the report in a few sentences for the log."""
    kinds = told["kinds"]
    said = [f"The archive holds {_listed({stem: one['records'] for stem, one in kinds.items()})}"]
    stored = [
        f"{one['files']['stored']} {_FILES[stem]} ({size(one['files']['bytes'])})"
        for stem, one in kinds.items()
        if "files" in one and one["files"]["stored"]
    ]
    if stored:
        said.append(f"Stored: {', '.join(stored)}")
    for title, counts in (
        ("Not obtained, by reason", _reasons(told)),
        ("Counted by the site and named by no list", told["not_listed"]),
        ("Left out as excluded", {stem: one["excluded"] for stem, one in kinds.items()}),
        ("Gone from the site and kept", {stem: one["gone"] for stem, one in kinds.items()}),
        ("New in this pass", _changed(told)),
    ):
        if any(counts.values()):
            said.append(f"{title}: {_listed(counts)}")
    verdict = told["verdict"]
    return [*said, f"{verdict['word'].capitalize()}: {verdict['sentence']}"]


def markdown(told: Account) -> str:
    """Write the report for a person."""
    verdict, login = told["verdict"], "signed in" if told["signed_in"] else "not signed in"
    blocks: list[str] = [
        f"# Archive of {_cell(told['archive'])}",
        f"**{verdict['word'].capitalize()}.** {verdict['sentence']}",
        f"{told['at']}, pass {told['pass']}, ended: {told['ended']}, {login}.",
        *_totals(told["kinds"]),
        *_section("Not obtained", _not_obtained(told), len(told["not_obtained"])),
        *_section("Gone from the site", _gone(told), len(told["gone"])),
        *_section("New in this pass", _changes(told), len(told["changes"])),
    ]
    if told["replaced"]:
        blocks += ["## Older files, kept", _bullets(told["replaced"])]
    return "\n\n".join(blocks) + "\n"


def _totals(kinds: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for stem, one in kinds.items():
        expected = [str(count["count"]) for count in one["expected"] if count["held"] is not None]
        files = one.get("files") or {}
        failed = sum(one["failed"].values()) + sum((files.get("failed") or {}).values())
        hashed = sum(n for name, n in (files.get("verified") or {}).items() if name != "none")
        rows.append(
            [
                stem.replace("_", " "), " / ".join(expected) or "-", one["listed"], one["records"],
                files.get("stored", "-"), hashed if stem == "model_files" else "-", failed,
                one["excluded"], one["gone"],
            ]
        )  # fmt: skip
    yield _table(
        [
            "",
            "expected",
            "listed",
            "records",
            "files",
            "hash verified",
            "failed",
            "excluded",
            "gone",
        ],
        rows,
    )
    notes = [note for stem, one in kinds.items() for note in _notes(stem, one)]
    if notes:
        yield _bullets(notes)


def _notes(stem: str, one: Mapping[str, Any]) -> Iterator[str]:
    """Say of each count whence it is, what it covers and whether it is met."""
    for count in one["expected"]:
        what = f"{stem.replace('_', ' ')}: `{count['source']}` counts {count['count']}"
        if count["held"] is None:
            covers = f"only of {levels(count['levels'])}" if count["levels"] else "of some levels"
            yield f"{what}, {covers}; not compared."
        elif count["missing"]:
            yield f"{what} of {levels(count['levels'])}, **{count['missing']} are not listed**."
        else:
            yield f"{what} of {levels(count['levels'])}; all are accounted for."


def levels(mask: int) -> str:
    """Name the maturity levels of a mask."""
    if mask & _ALL == _ALL:
        return "all levels"
    return ", ".join(name for bit, name in _LEVELS.items() if mask & bit)


def _not_obtained(told: Account) -> str:
    rows = [
        [
            f"{one['kind'].replace('_', ' ')} {one['id'] if one['id'] is not None else ''}",
            one["reason"].replace("_", " "), one["message"], (one["since"] or "")[:10],
            (one["again"] or "next pass")[:10],
        ]
        for one in told["not_obtained"][:_ROWS]
    ]  # fmt: skip
    return _table(["what", "reason", "", "since", "again"], rows)


def _gone(told: Account) -> str:
    rows = [
        [f"{one['kind'].removesuffix('s').replace('_', ' ')} {one['id']}", one["noticed"][:10],
         ", ".join(one["kept"]) or "the record"]
        for one in told["gone"][:_ROWS]
    ]  # fmt: skip
    return _table(["what", "noticed", "kept"], rows)


def _changes(told: Account) -> str:
    rows = [
        [one["kind"].removesuffix("s").replace("_", " "), one["id"], one["what"]]
        for one in told["changes"][:_ROWS]
    ]
    return _table(["what", "id", ""], rows)


def _section(title: str, table: str, number: int) -> Iterator[str]:
    if number:
        yield f"## {title} ({number})"
        yield table
    if number > _ROWS:
        yield f"... and {number - _ROWS} more in report.json."


def _table(head: list[str], rows: Iterable[list[Any]]) -> str:
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in ruled)


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _cell(value: Any) -> str:
    """Keep a creator's text from breaking the table it stands in."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _reasons(told: Account) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in told["not_obtained"]:
        counts[one["reason"]] = counts.get(one["reason"], 0) + 1
    return counts


def _changed(told: Account) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in told["changes"]:
        counts[one["kind"]] = counts.get(one["kind"], 0) + 1
    return counts


def _listed(counts: Mapping[str, int]) -> str:
    words = [f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number]
    return ", ".join(words) or "nothing"
