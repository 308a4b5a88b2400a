"""Which images a list shows: what an address asks for, as SQL and as other addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.datastructures import QueryParams

LEVELS = {1: "PG", 2: "PG-13", 4: "R", 8: "X", 16: "XXX", 32: "Blocked"}
#: Where words are searched for, by the value of ``field``.
FIELDS = {"prompt": "prompts", "negative_prompt": "negative prompts", "both": "both"}
_DATE = re.compile(r"\d{4}(-\d\d){0,2}")
_WORD = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
#: The longest number that surely fits SQLite's INTEGER.
_DIGITS = 18

#: The condition of each filter; every ``?`` stands for its value.
_WHERE = {
    "creator": "creator = ?",
    "model": (
        "id IN (SELECT images.id FROM model_versions AS v JOIN images ON images.version_id = v.id"
        " WHERE v.model_id = ? UNION SELECT images.id FROM model_versions AS v"
        " JOIN posts ON posts.version_id = v.id JOIN images ON images.post_id = posts.id"
        " WHERE v.model_id = ?)"
    ),
    "version": (
        "id IN (SELECT id FROM images WHERE version_id = ? UNION"
        " SELECT images.id FROM posts JOIN images ON images.post_id = posts.id"
        " WHERE posts.version_id = ?)"
    ),
    "post": "post_id = ?",
    "base_model": (
        "id IN (SELECT id FROM images WHERE base_model = ?"
        " UNION SELECT image_id FROM resources WHERE base_model = ?"
        " UNION SELECT images.id FROM model_versions AS v"
        " JOIN images ON images.version_id = v.id WHERE v.base_model = ?)"
    ),
    "resource": "id IN (SELECT image_id FROM resources WHERE model_id = ?)",
    "type": "type = ?",
    "since": "coalesce(published_at, created_at) >= ?",
    # "2026-05-31T12:00" is text behind "2026-05-31" and before "2026-05-31~".
    "until": "coalesce(published_at, created_at) <= ? || '~'",
}


def number(text: str) -> int | None:
    """Return the number that *text* is; ``None`` when it is none that an id can be."""
    is_id = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if is_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What an address asks for, by the names of its fields; what makes no sense is left out."""

    q: str = ""
    """Words of prompts: all of them, "in this order", -without, beginn*."""
    field: str = "prompt"
    creator: str = ""
    model: int | None = None
    """Shown with this model."""
    version: int | None = None
    """Shown with this version."""
    post: int | None = None
    base_model: str = ""
    resource: int | None = None
    """Made with this model."""
    level: tuple[int, ...] = ()
    """Any of these levels; empty: all."""
    type: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> Self:
        """Read an address."""
        texts = {
            name: query.get(name, "").strip() for name in ("q", "creator", "base_model", "type")
        }
        ids = {
            name: number(query.get(name, "")) for name in ("model", "version", "post", "resource")
        }
        dates = {
            name: text
            for name in ("since", "until")
            if _DATE.fullmatch(text := query.get(name, ""))
        }
        levels = {level for text in query.getlist("level") if (level := number(text)) in LEVELS}
        field = query.get("field", "")
        return cls(
            **texts,  # type: ignore[arg-type]  # each mapping holds one type of field
            **ids,  # type: ignore[arg-type]  # as above
            **dates,  # type: ignore[arg-type]  # as above
            level=tuple(sorted(level for level in levels if level is not None)),
            field=field if field in FIELDS else "prompt",
        )

    def sql(self) -> tuple[str, tuple[Any, ...]]:
        """Return the query for the ids of the images in their order, and its values."""
        clauses, values = [], []
        for clause, given in self._clauses():
            clauses.append(clause)
            values += given
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        # Ids rise with time. A post has an order of its own.
        order = 'coalesce("index", 0), id' if self.post is not None else "id DESC"
        return f"SELECT id FROM images{where} ORDER BY {order}", tuple(values)  # noqa: S608  # our own text

    def _clauses(self) -> Iterator[tuple[str, list[Any]]]:
        if words := match(self.q):
            column = "" if self.field == "both" else f"{self.field} : "
            yield "id IN (SELECT rowid FROM prompts WHERE prompts MATCH ?)", [f"{column}({words})"]
        for name, clause in _WHERE.items():
            value = getattr(self, name)
            if value not in ("", None):
                yield clause, [value] * clause.count("?")
        if self.level:
            yield f"nsfw_level IN ({', '.join('?' * len(self.level))})", list(self.level)

    def pairs(self) -> list[tuple[str, Any]]:
        """Return what an address has to say to ask for the same, as names and values."""
        named = [(one.name, getattr(self, one.name)) for one in fields(self)]
        return [
            (name, value)
            for name, values in named
            if values not in ("", None) and (name != "field" or self.q)
            for value in (values if isinstance(values, tuple) else (values,))
        ]

    def query(self) -> str:
        """Return the same as the query of an address."""
        return urlencode(self.pairs())


def match(text: str) -> str:
    """Turn what a person typed into a query of SQLite's full-text search; empty: nothing to find.

    Words are quoted, so that none of them is an operator. What has no letter or digit is no word.
    """
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, word in _WORD.findall(text):
        bare = (phrase or word).replace('"', " ").replace("\0", " ")
        if any(char.isalnum() for char in bare):
            star = "*" if word.endswith("*") else ""
            (unwanted if minus else wanted).append(f'"{bare}"{star}')
    if not wanted:
        return ""
    found = " AND ".join(wanted)
    return f"({found}) NOT ({' OR '.join(unwanted)})" if unwanted else found
