"""Holds an archive against what a complete one would hold."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(slots=True)
class Row:
    """One kind of record or file."""

    kind: str
    expected: int
    held: int
    missing: list[int]
    repeated: int


@dataclass(slots=True)
class Proof:
    """The result: a row for each kind, and what is wrong besides."""

    rows: list[Row] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Everything obtainable is there once and whole, and each refusal has its reason."""
        return not self.wrong and not any(row.missing or row.repeated for row in self.rows)

    def lines(self) -> list[str]:
        """Say it for a person."""
        told = [f"  {'':<18}{'expected':>9}{'held':>7}{'missing':>9}{'repeated':>10}"]
        told += [
            f"  {row.kind:<18}{row.expected:>9}{row.held:>7}{len(row.missing):>9}{row.repeated:>10}"
            for row in self.rows
        ]
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(self.refused.items()))
        told.append(
            f"  Not to be had, each with its reason in failures.jsonl: {reasons or 'nothing'}"
        )
        told += [f"  WRONG: {sentence}" for sentence in self.wrong]
        told.append("Complete." if self.complete else "NOT complete.")
        return told


def prove(archive: Path, truth: dict[str, Any]) -> Proof:
    """Compare the feeds and files of *archive* with *truth*, as the stand-in tells it."""
    proof = Proof()
    feeds = {path.stem: list(_read(path)) for path in sorted(archive.glob("*.jsonl"))}
    expected: dict[str, Iterable[int]] = {
        "models": truth["models"],
        "model_versions": truth["versions"],
        "model_files": [file["id"] for file in truth["files"]],
        "posts": truth["posts"],
        "images": [image["id"] for image in truth["images"]],
        "generation_data": [data["id"] for data in truth["generation"]],
    }
    for kind, ids in expected.items():
        proof.rows.append(_row(kind, ids, feeds.get(kind, [])))
    states = {data["id"]: data["state"] for data in truth["generation"]}
    for record in feeds.get("generation_data", []):
        if record["prompt_state"] != states.get(record["id"]):
            proof.wrong.append(
                f"the prompt of image {record['id']} is not {record['prompt_state']}"
            )
    reasons = {
        (failure["kind"], failure.get("item_id")): failure["reason"]
        for failure in feeds.get("failures", [])
    }
    for kind, name in (("model_files", "files"), ("images", "images")):
        held = {record["id"]: record for record in feeds.get(kind, [])}
        rows = [(one, held.get(one["id"])) for one in truth[name]]
        proof.rows.append(_stored(kind, rows, archive, proof))
        _refusals(kind.removesuffix("s"), truth[name], reasons, proof)
    closed = [
        {"id": one, "obtainable": False, "reason": "archived"} for one in truth["archived_versions"]
    ]
    _refusals("model_version", closed, reasons, proof)
    return proof


def _read(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def _row(kind: str, ids: Iterable[int], records: list[dict[str, Any]]) -> Row:
    expected, held = set(ids), [record["id"] for record in records]
    return Row(
        kind, len(expected), len(expected & set(held)), sorted(expected - set(held)),
        len(held) - len(set(held)),
    )  # fmt: skip


def _stored(
    kind: str, rows: list[tuple[dict[str, Any], dict[str, Any] | None]], archive: Path, proof: Proof
) -> Row:
    """Check that every obtainable file lies where its record says, with the true bytes."""
    missing, expected = [], [one for one, _ in rows if one["obtainable"]]
    for one, record in rows:
        if not one["obtainable"]:
            continue
        path = record and record.get("path")
        if not path or not (archive / path).is_file():
            missing.append(one["id"])
        elif hashlib.sha256((archive / path).read_bytes()).hexdigest() != one["sha256"]:
            proof.wrong.append(f"{path} has not the bytes of {kind} {one['id']}")
    name = {"model_files": "files on disk", "images": "originals"}[kind]
    return Row(name, len(expected), len(expected) - len(missing), missing, 0)


def _refusals(
    kind: str, rows: list[dict[str, Any]], reasons: dict[tuple[str, Any], str], proof: Proof
) -> None:
    """Check that everything unobtainable is a failure with its right reason."""
    for one in rows:
        if one["obtainable"]:
            continue
        proof.refused[one["reason"]] = proof.refused.get(one["reason"], 0) + 1
        told = reasons.get((kind, one["id"]))
        if told != one["reason"]:
            proof.wrong.append(f"{kind} {one['id']} failed as {told}, not as {one['reason']}")
