"""The columns of a Parquet file: one for each field of a record, in the types of Arrow.

Texts stay texts but for dates, which become timestamps in UTC. Lists of numbers and texts,
resources and hashes have types of their own; what the site may fill with anything is JSON text.
``seed`` has 64 bits, ``seed_text`` holds seeds of any size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa

from civitai_crawler.export.values import moment, sound, whole
from civitai_crawler.items import GenerationData, Record, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMES = ("_at", "early_access_deadline")
_INTEGER = pa.int64()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where its values come from and what becomes of them."""

    name: str
    field: str
    type: Any
    """A ``pyarrow.DataType``."""
    value: Callable[[Any], Any]
    """Makes the value of the column of one of the field; never called with ``None``. It may give
    ``None`` for what has no place in the type."""


def columns(kind: type[Record]) -> list[Column]:
    """Return the columns of the records of class *kind*, in the order of its fields."""
    hints = get_type_hints(kind)
    found = []
    for field in fields(kind):
        found.append(_column(field.name, hints[field.name]))
        if (kind, field.name) == (GenerationData, "seed"):
            found.append(Column("seed_text", "seed", pa.string(), str))
    return found


def _column(name: str, hint: Any) -> Column:
    if hint in (str, str | None) and name.endswith(_TIMES):
        return Column(name, name, pa.timestamp("ms", tz="UTC"), moment)
    arrow, value = next(
        (found for kind, found in _SIMPLE.items() if hint in (kind, kind | None)),
        (pa.string(), _json),
    )
    return Column(name, name, arrow, value)


def _json(value: Any) -> str:
    return sound(json.dumps(value, ensure_ascii=False))


def _resource(one: Resource) -> dict[str, Any]:
    pairs = ((column, getattr(one, column.field)) for column in _RESOURCE)
    return {column.name: None if value is None else column.value(value) for column, value in pairs}


_SIMPLE: dict[Any, tuple[Any, Callable[[Any], Any]]] = {
    bool: (pa.bool_(), bool),
    int: (_INTEGER, whole),
    float: (pa.float64(), float),
    str: (pa.string(), sound),
    list[int]: (pa.list_(_INTEGER), lambda numbers: [whole(one) for one in numbers]),
    list[str]: (pa.list_(pa.string()), lambda texts: [sound(one) for one in texts]),
    dict[str, str]: (
        pa.map_(pa.string(), pa.string()),
        lambda pairs: [(sound(name), sound(value)) for name, value in pairs.items()],
    ),
}
_RESOURCE = [_column(name, hint) for name, hint in get_type_hints(Resource).items()]
_SIMPLE[list[Resource]] = (
    pa.list_(pa.struct([(column.name, column.type) for column in _RESOURCE])),
    lambda resources: [_resource(one) for one in resources],
)
