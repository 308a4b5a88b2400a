"""What stands beside a model file in the archive: sidecars and previews, under its stem.

They are copied and never linked, because the programs write into them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from civitai_crawler.export.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from civitai_crawler.export.folder import Folder
    from civitai_crawler.export.outcome import Outcome

SIDECARS = (".civitai.info", ".json", ".metadata.json", ".cm-info.json", ".swarm.json")
_LOCAL = ".metadata.json"
_PREVIEW = ".preview."


def add(folder: Folder, source: Path, target: Path, outcome: Outcome) -> None:
    """Bring the companions of the model file *source* beside *target*; those there stay."""
    for companion, ending in _companions(source):
        beside = target.with_name(target.stem + ending)
        try:
            if ending == _LOCAL and not beside.exists():
                folder.write_text(beside, _moved(companion, target))
            else:
                folder.copy(companion, beside)
        except SourceError as error:
            outcome.lose(error.reason, companion, error.why)


def _companions(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield the companions of *source* with what follows the stem in their names."""
    for file in sorted(source.parent.iterdir()):
        ending = file.name.removeprefix(source.stem)
        ours = ending in SIDECARS or (ending.startswith(_PREVIEW) and ending.count(".") == 2)  # noqa: PLR2004  # of .preview.png
        if ours and ending != file.name and file.is_file() and not file.is_symlink():
            yield file, ending


def _moved(sidecar: Path, target: Path) -> str:
    """Return the sidecar of LoRA Manager, which tells where its file lies, for the new place."""
    try:
        text = sidecar.read_text(encoding="utf-8")
        told = json.loads(text)
    except OSError as error:
        raise SourceError.of(error) from error
    except ValueError:
        return sidecar.read_text(encoding="utf-8", errors="replace")
    if not isinstance(told, dict):
        return text
    told["file_name"] = target.stem
    told["file_path"] = target.resolve().as_posix()
    preview = str(told.get("preview_url") or "")
    if _PREVIEW in preview:
        ending = _PREVIEW + preview.rpartition(_PREVIEW)[2]
        told["preview_url"] = target.resolve().with_name(target.stem + ending).as_posix()
    return json.dumps(told, indent=2, ensure_ascii=False)
