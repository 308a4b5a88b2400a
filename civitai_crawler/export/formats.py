"""The formats of ``scrapy export``; each is loaded when it is asked for, with what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from civitai_crawler.exceptions import UsageError
from civitai_crawler.export.folder import check_apart
from civitai_crawler.export.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.export.job import Job


@dataclass(frozen=True, slots=True)
class Format:
    """A format and the function that writes it."""

    name: str
    meaning: str
    """For the help."""
    write: Callable[[Job], None]
    unit: str = "images"
    """What it counts."""
    target: str = ""
    """Where it goes without ``--out``; empty: ``exports/<name>``."""

    @property
    def default_target(self) -> str:
        return self.target or f"exports/{self.name}"


def _sqlite(job: Job) -> None:
    if job.selection != Selection(exclude=job.selection.exclude):
        raise UsageError("sqlite takes no filter: the database can filter by itself.")
    check_apart(job.target, job.archives)
    _check_database(job)
    database = import_module("civitai_crawler.export.database")
    summary = database.write(job.archives, job.target, job.outcome.problem)
    job.outcome.added = sum(summary.rows.values())


def _check_database(job: Job) -> None:
    """See to it that nothing but a database is replaced."""
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        if job.target.exists() and job.target.stat().st_size:
            with job.target.open("rb") as stream:
                if stream.read(16) != b"SQLite format 3\0":
                    raise UsageError(f"{job.target} is no database: name another file with --out.")
    except OSError as error:
        raise UsageError(f"{job.target} cannot be written: {error.strerror}.") from error


def _parquet(job: Job) -> None:
    try:
        parquet = import_module("civitai_crawler.export.parquet")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pyarrow"):
            raise
        raise UsageError("The parquet format needs pyarrow: pip install 'pyarrow>=21'") from error
    parquet.write(job)


def _hf(job: Job) -> None:
    import_module("civitai_crawler.export.huggingface").write(job)


def _kohya(job: Job) -> None:
    import_module("civitai_crawler.export.kohya").write(job)


def _webui(job: Job) -> None:
    import_module("civitai_crawler.export.trees").write(job, "webui")


def _comfyui(job: Job) -> None:
    import_module("civitai_crawler.export.trees").write(job, "comfyui")


FORMATS = {
    one.name: one
    for one in (
        Format(
            "sqlite", "one database, with full-text search on prompts", _sqlite, "rows",
            "exports/civitai.sqlite",
        ),
        Format("parquet", "a Parquet file for each class of records", _parquet, "rows"),
        Format("hf", "a Hugging Face imagefolder with metadata.jsonl", _hf),
        Format("kohya", "folders of images and captions for sd-scripts", _kohya),
        Format("webui", "model files as AUTOMATIC1111 and Forge expect them", _webui, "files"),
        Format("comfyui", "model files as ComfyUI expects them", _comfyui, "files"),
    )
}  # fmt: skip
