"""What sidecars are made of, read from the feeds of an archive in little memory."""

from __future__ import annotations

import unicodedata
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeGuard

from civitai_crawler.archive import Records
from civitai_crawler.items import GenerationData, Image, Model, ModelFile, ModelVersion
from civitai_crawler.sidecars.subject import Shown, Subject, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from civitai_crawler.archive import Problem


class Library:
    """The records of one archive, each at hand by its id; a context manager."""

    def __init__(
        self, archive: Path, tell: Callable[[Problem], None], *, whole: bool = True
    ) -> None:
        """Open the feeds; unless *whole*, of the images the showcases of versions only."""
        self._open = ExitStack()
        enter = self._open.enter_context
        self._models = enter(Records(archive, Model, tell))
        self._versions = enter(Records(archive, ModelVersion, tell))
        self._files = enter(Records(archive, ModelFile, tell))
        shown = None if whole else {one for version in self._versions for one in version.image_ids}
        self._images = enter(Records(archive, Image, tell, only=shown))
        self._generations = enter(Records(archive, GenerationData, tell, only=shown))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def subjects(self) -> Iterator[tuple[Subject, frozenset[str]]]:
        """Yield each stored file that has sidecars, with the keys of the names that are taken.

        Of several files in one folder that differ in their endings only, one has the sidecars.
        """
        taken: set[str] = set()
        first: dict[str, tuple[tuple[bool, bool, int], int]] = {}
        of_version: dict[int, list[int]] = {}
        for file in self._files:
            of_version.setdefault(file.version_id, []).append(file.id)
            if not _has_name(file.path):
                continue
            taken.add(key(file.path))
            if kind("", file) is None:
                continue
            rank = (not file.primary, file.type not in ("Model", "Pruned Model"), file.id)
            stem = key(str(PurePosixPath(file.path).with_suffix("")))
            first[stem] = min(first.get(stem, (rank, file.id)), (rank, file.id))
        names = frozenset(taken)
        for _, file_id in first.values():
            subject = self._subject(file_id, of_version)
            if subject is not None:
                yield subject, names

    def images(self) -> Iterator[Shown]:
        """Yield each stored image."""
        for image in self._images:
            if _has_name(image.path):
                yield Shown(image=image, generation=self._generations.get(image.id))

    def _subject(self, file_id: int, of_version: dict[int, list[int]]) -> Subject | None:
        file = self._files.get(file_id)
        version = None if file is None else self._versions.get(file.version_id)
        model_id = None if version is None else version.model_id
        model = self._models.get(model_id)
        if file is None or version is None or model is None:
            return None
        # A version may list a file of another one, and one replaced since is listed no more.
        ids = dict.fromkeys([*version.file_ids, *of_version[version.id]])
        return Subject(
            model=model,
            version=version,
            file=file,
            siblings=[one for one in map(self._files.get, ids) if one is not None],
            shown=[
                Shown(image=image, generation=self._generations.get(image.id))
                for image in map(self._images.get, version.image_ids)
                if image is not None
            ],
        )


def _has_name(path: str | None) -> TypeGuard[str]:
    """Tell whether a path is one of a file; one without a name is as good as none."""
    return path is not None and PurePosixPath(path).name != ""


def key(path: str) -> str:
    """Compare names as every system does, whatever it thinks of case and accents."""
    return unicodedata.normalize("NFC", path).casefold()
