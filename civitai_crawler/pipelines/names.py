"""Portable names: paths that open on Linux, macOS and Windows, whatever the creator typed.

Every name carries an id where two could be alike; the name itself is for the reader's eye, the true
text stands in the records. Folder names do not depend on the files inside, so that the files of a
version stay together.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from pathvalidate import sanitize_filename

if TYPE_CHECKING:
    from civitai_crawler.items import Image, ModelFile

#: Bytes of a path relative to the archive folder; Windows allows 260 characters with the root.
MAX_PATH = 240
#: Bytes of a file name; leaves room for the suffixes of sidecars under the usual 255.
MAX_FILE = 180
MAX_FOLDER = 100
#: The two folders of a model file are shorter, so that 90 bytes are left for its name.
MAX_MODEL = 80
MAX_VERSION = 60

#: An extension as programs know them; ``.1.`` or ``. new`` at the end of a name is none.
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,16}$")
#: Invisible or unprintable: controls, zero-width and direction marks, lone surrogates, private use
#: and unassigned characters, line and paragraph separators.
_UNSEEN = frozenset({"Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@lru_cache(maxsize=4096)
def component(text: str | None, fallback: str, max_bytes: int = MAX_FOLDER) -> str:
    """Make one path component of *text*.

    The answer is NFC text of at most *max_bytes* UTF-8 bytes without separators, reserved names or
    characters, unseen characters, or spaces and dots at its ends. When nothing worth reading is
    left, it is *fallback*.
    """
    seen = (
        " " if char.isspace() or unicodedata.category(char) == "Cc" else char for char in text or ""
    )
    kept = "".join(char for char in seen if unicodedata.category(char) not in _UNSEEN)
    name = " ".join(unicodedata.normalize("NFC", kept).split())
    name = sanitize_filename(name, replacement_text="_", platform="universal", max_len=4096)
    name = _cut(name.strip(" ."), max_bytes)
    # Once more: cutting may have laid a reserved name bare.
    name = sanitize_filename(name, replacement_text="_", platform="universal").strip(" .")
    return name if name.strip("_ ") else fallback


def file_name(text: str | None, fallback: str, max_bytes: int = MAX_FILE) -> str:
    """Make a file name of *text*; its extension survives, *fallback* is a stem."""
    found = _EXTENSION.search((text or "").rstrip())
    extension = found.group() if found else ""
    stem = (text or "").rstrip().removesuffix(extension)
    return component(stem, fallback, max_bytes - len(extension)) + extension


def model_file_path(file: ModelFile) -> str:
    """Place a model file: ``models/<model> (<id>)/<version> (<id>)/<file>``, relative, POSIX."""
    version = _with_id(file.version_name, "version", file.version_id, MAX_VERSION)
    if file.model_id is None:
        folder = f"models/{version}"
    else:
        folder = f"models/{_with_id(file.model_name, 'model', file.model_id, MAX_MODEL)}/{version}"
    room = MAX_PATH - len(folder.encode()) - 1
    return f"{folder}/{file_name(file.name, str(file.id), min(MAX_FILE, room))}"


def image_path(image: Image, ext: str) -> str:
    """Place an original: ``posts/<post id> <title>/<image id>.<ext>``, relative, POSIX.

    An original without a known post goes to ``images/``.
    """
    if image.post_id is None:
        return f"images/{image.id}.{ext}"
    prefix = f"{image.post_id} "
    title = component(image.post_title, "", MAX_FOLDER - len(prefix))
    return f"posts/{(prefix + title).strip()}/{image.id}.{ext}"


def _with_id(name: str | None, fallback: str, number: int, max_bytes: int) -> str:
    suffix = f" ({number})"
    return component(name, fallback, max_bytes - len(suffix)) + suffix


def _cut(name: str, max_bytes: int) -> str:
    """Cut *name* to *max_bytes* between characters, without leaving half of a combined one."""
    if len(name.encode()) <= max_bytes:
        return name
    cut = name.encode()[:max_bytes].decode(errors="ignore")
    following = name[len(cut) : len(cut) + 1]
    while cut and unicodedata.combining(following):
        cut, following = cut[:-1], cut[-1]
    return cut.rstrip(" .")
