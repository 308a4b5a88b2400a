"""The tables of the database: one for each class of records, and what makes their lists quick."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, get_type_hints

from civitai_crawler.items import FEEDS, GenerationData, Resource

if TYPE_CHECKING:
    from civitai_crawler.items import Record

#: SQLite's type by that of the field; everything else is JSON text. Seeds can be larger than any
#: INTEGER, so they are text.
_TYPES = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}
_TEXTS = frozenset({(GenerationData, "seed")})
#: What a column of this name points to, in whichever table it stands. The record that it points to
#: may be missing: an archive holds what was asked for, and SQLite does not enforce these unasked.
_POINTS_TO = {
    "creator": "creators (username)",
    "model_id": "models (id)",
    "version_id": "model_versions (id)",
    "vae_id": "model_versions (id)",
    "post_id": "posts (id)",
    "image_id": "images (id)",
    "remix_of_id": "images (id)",
}


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one class of records."""

    name: str
    kind: type[Record]
    columns: dict[str, str]
    """Types by name, in the order of the class's fields."""

    @property
    def create(self) -> str:
        """The statement that makes it."""
        return _create(self.name, self.columns, "id")

    @property
    def insert(self) -> str:
        """The statement that adds a row.

        Of two archives that hold one record, the one that has its file counts, then the newer.
        """
        names = [f'"{name}"' for name in self.columns]
        marks = ", ".join("?" * len(names))
        sets = ", ".join(f"{name} = excluded.{name}" for name in names)
        stored = "({0}.path IS NOT NULL), " if "path" in self.columns else ""
        rank = f"({stored}{{0}}.fetched_at)"
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608  # our own names
            f"ON CONFLICT (id) DO UPDATE SET {sets} "
            f"WHERE {rank.format('excluded')} > {rank.format(self.name)}"
        )


def _columns(kind: type) -> dict[str, str]:
    hints = get_type_hints(kind)
    return {
        one.name: "TEXT" if (kind, one.name) in _TEXTS else _type(hints[one.name])
        for one in fields(kind)
    }


def _type(hint: object) -> str:
    return next((name for kind, name in _TYPES.items() if hint in (kind, kind | None)), "TEXT")


def _create(name: str, columns: dict[str, str], key: str) -> str:
    unique = {"id": " PRIMARY KEY"} if key == "id" else {}
    if name == "creators":
        unique["username"] = " UNIQUE"
    lines = [f'"{column}" {kind}{unique.get(column, "")}' for column, kind in columns.items()]
    lines += [] if key == "id" else [f"PRIMARY KEY ({key})"]
    points = _POINTS_TO | ({"id": "images (id)"} if name == "generation_data" else {})
    lines += [
        f'FOREIGN KEY ("{column}") REFERENCES {target}'
        for column, target in points.items()
        if column in columns
    ]
    body = ",\n    ".join(lines)
    return f"CREATE TABLE {name} (\n    {body}\n)"


TABLES = {stem: Table(stem, kind, _columns(kind)) for stem, kind in FEEDS.items()}

#: One row for each resource of an image: where it stands among them, and what the record tells.
_RESOURCES = {"image_id": "INTEGER", "position": "INTEGER"} | _columns(Resource)
_FROM_JSON = ", ".join(f"item.value ->> '$.{one.name}'" for one in fields(Resource))
RESOURCES = _create("resources", _RESOURCES, "image_id, position")

#: Made after the rows are in, which is quicker. The prompts' index finds words, their beginnings,
#: and those that underscores join. Measured on 100,000 prompts: 32 MB in 4 s; as trigrams, which
#: would also find the middles of words of three letters and more, 284 MB in 52 s.
AFTERWARDS = f"""
INSERT INTO resources
    SELECT generation_data.id, item.key, {_FROM_JSON}
    FROM generation_data, json_each(generation_data.resources) AS item;
CREATE INDEX model_versions_model_id ON model_versions (model_id, "index");
CREATE INDEX model_files_version_id ON model_files (version_id);
CREATE INDEX models_creator ON models (creator);
CREATE INDEX posts_creator ON posts (creator);
CREATE INDEX posts_version_id ON posts (version_id);
CREATE INDEX images_post_id ON images (post_id, "index");
CREATE INDEX images_version_id ON images (version_id);
CREATE INDEX images_creator ON images (creator);
CREATE INDEX images_base_model ON images (base_model);
CREATE INDEX images_nsfw_level ON images (nsfw_level);
CREATE INDEX images_type ON images (type);
CREATE INDEX images_date ON images (coalesce(published_at, created_at));
CREATE INDEX resources_model_id ON resources (model_id, model_name, image_id);
CREATE INDEX resources_version_id ON resources (version_id, image_id);
CREATE INDEX resources_base_model ON resources (base_model, image_id);
CREATE INDEX failures_reason ON failures (reason);
CREATE VIRTUAL TABLE prompts USING fts5 (
    prompt, negative_prompt,
    content = 'generation_data', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO prompts (prompts) VALUES ('rebuild');
ANALYZE;
"""  # noqa: S608  # names of our own fields
