"""``parquet``: one file for each class of records, written in row groups of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from civitai_crawler.archive import records
from civitai_crawler.export.columns import Column, columns
from civitai_crawler.export.folder import Folder
from civitai_crawler.export.selection import Chooser
from civitai_crawler.items import FEEDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from civitai_crawler.export.job import Job
    from civitai_crawler.items import Record

#: A row group ends at so many rows or characters of text, so that memory is bounded.
_ROWS, _CHARACTERS = 20_000, 8_000_000


def write(job: Job) -> None:
    """Write the records of *job* to ``<feed>.parquet``; a file is replaced when it is whole."""
    with Folder.opened(job.target, "parquet", job.archives) as folder:
        # What they cannot read is told when the rows of that feed are written.
        choosers = [Chooser(one, job.selection, lambda _: None) for one in job.archives]
        for stem, kind in FEEDS.items():
            with folder.replacing(job.target / f"{stem}.parquet") as part:
                _write(job, part, kind, choosers)


def _write(job: Job, part: Path, kind: type[Record], choosers: list[Chooser]) -> None:
    schema = columns(kind)
    arrow = pa.schema([(column.name, column.type) for column in schema])
    with pq.ParquetWriter(part, arrow, compression="zstd") as writer:
        for rows in _groups(_rows(job, kind, choosers, schema)):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=arrow))


def _rows(
    job: Job, kind: type[Record], choosers: list[Chooser], schema: list[Column]
) -> Iterator[dict[str, Any]]:
    for archive, chooser in zip(job.archives, choosers, strict=True):
        for record in records(archive, kind, job.outcome.problem):
            job.tick()
            refusal = chooser.refusal(record)
            if refusal:
                job.outcome.passed[refusal] += 1
                continue
            yield _row(job, record, schema)
            job.outcome.count(added=True)


def _row(job: Job, record: Record, schema: list[Column]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in schema:
        value = getattr(record, column.field)
        row[column.name] = None if value is None else column.value(value)
        if row[column.name] is None and value not in (None, "") and column.field != "seed":
            what = f"{column.field} of {type(record).__name__} {getattr(record, 'id', '')}"
            job.outcome.lose("unfit", what, f"{value!r:.60} has no place in its column")
    return row


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(group) >= _ROWS or size >= _CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group
