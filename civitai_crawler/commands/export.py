"""``scrapy export``: archives in the formats of other programs."""

from __future__ import annotations

import argparse
import time
from datetime import date
from pathlib import Path

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler import options
from civitai_crawler.archive import archives
from civitai_crawler.exceptions import CivitaiError, UsageError
from civitai_crawler.export.formats import FORMATS, Format
from civitai_crawler.export.job import CAPTIONS, Job
from civitai_crawler.export.outcome import Outcome
from civitai_crawler.export.selection import ALL_LEVELS, Selection
from civitai_crawler.options import words_of
from civitai_crawler.terminal import say, show

#: Exit codes: all is exported; something is left out; interrupted, or the disk is full.
WHOLE, LEFT_OUT, INTERRUPTED = 0, 3, 4
#: Seconds between two lines of progress.
_PAUSE = 0.2


class Command(ScrapyCommand):
    """Writes an export; never changes the archive and asks nobody."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "--to FORMAT [--out PATH] ARCHIVE [ARCHIVE ...]"

    def short_desc(self) -> str:
        return f"Export archives for other programs ({', '.join(FORMATS)})"

    def long_desc(self) -> str:
        told = "; ".join(f"{one.name}: {one.meaning}" for one in FORMATS.values())
        return (
            "Bring archives into the format of other programs. ARCHIVE is an archive or a folder "
            f"of archives. Formats: {told}. Images and model files are hard links where the disk "
            "has them (editing one edits the archive; --copy makes copies). Run again, it adds "
            "what is new. Exit codes: 0 all is exported, 2 wrong input, 3 something is left out, "
            "4 interrupted (the same command goes on)."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        group = parser.add_argument_group("Export")
        group.add_argument("--to", choices=FORMATS, help="the format", metavar="FORMAT")
        group.add_argument(
            "--out", type=Path, metavar="PATH",
            help="where it goes; exports/FORMAT by default, exports/civitai.sqlite for sqlite",
        )  # fmt: skip
        group.add_argument("--copy", action="store_true", help="copy files instead of linking them")
        _add_filters(parser)
        group = parser.add_argument_group("Captions")
        group.add_argument(
            "--caption", choices=CAPTIONS, default=CAPTIONS[0],
            help="kohya, hf: the prompt without weights and LoRA tags (plain, the default), "
            "as written (raw), or none",
        )  # fmt: skip
        group.add_argument(
            "--repeats", type=_number, default=1, help="kohya: repeats of each image (default: 1)"
        )
        group.add_argument(
            "--concept", default="", help="kohya: name of the concept (default: the archive's)"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if not args or not opts.to:
            raise ScrapyUsageError("Name archives and a format: scrapy export archive/NAME --to hf")
        chosen = FORMATS[opts.to]
        outcome = Outcome(say, chosen.unit)
        try:
            job = self._job(args, opts, chosen, outcome)
            chosen.write(job)
        except UsageError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        except CivitaiError as error:
            self.exitcode = INTERRUPTED
            say(f"{error} {outcome.summary(opts.out or chosen.default_target)}")
        except KeyboardInterrupt:
            self.exitcode = INTERRUPTED
            say(f"Interrupted. {outcome.summary(opts.out or chosen.default_target)}")
        else:
            self.exitcode = WHOLE if outcome.is_whole else LEFT_OUT
            say(outcome.summary(job.target))

    def _job(
        self, args: list[str], opts: argparse.Namespace, chosen: Format, outcome: Outcome
    ) -> Job:
        if self.settings is None:
            raise RuntimeError("Scrapy gave this command no settings.")
        options.check(self.settings)
        last = 0.0

        def tick() -> None:
            nonlocal last
            if time.monotonic() - last > _PAUSE:
                last = time.monotonic()
                show(outcome.progress())

        return Job(
            archives=archives(Path(arg) for arg in args),
            target=opts.out or Path(chosen.default_target),
            outcome=outcome,
            selection=Selection(
                level=opts.level,
                since=opts.since or "",
                types=_lower(opts.type),
                base_models=_lower(opts.base_model),
                exclude=frozenset(words_of(self.settings["CIVITAI_EXCLUDE"])),
            ),
            copy=opts.copy,
            caption=opts.caption,
            repeats=opts.repeats,
            concept=opts.concept,
            tick=tick,
        )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Filters")
    group.add_argument(
        "--level", type=_level, default=ALL_LEVELS,
        help="the sum of the levels wanted: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX (default: 31)",
    )  # fmt: skip
    group.add_argument("--since", type=_day, metavar="DATE", help="published since, as 2026-05-01")
    group.add_argument(
        "--type", default="", metavar="TYPES", help="only of models of these types: LORA,Checkpoint"
    )
    group.add_argument(
        "--base-model", default="", metavar="NAMES",
        help="only for these base models: SDXL 1.0,Illustrious",
    )  # fmt: skip


def _lower(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in words_of(text))


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _level(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ALL_LEVELS:
        raise argparse.ArgumentTypeError(f"{text} is no sum of levels from 1 to {ALL_LEVELS}")
    return int(text)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no date like 2026-05-01") from error
