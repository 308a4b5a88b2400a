"""What is held of what was promised: posts against their image counts, lists against counts.

Items that are under way count as held: call ``ledger.under_way.show()`` before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from civitai_crawler.ledger.refusals import IMAGES_MISSING, Refusals

if TYPE_CHECKING:
    import sqlite3

    from civitai_crawler.ledger.store import Ledger

ALL_LEVELS = 31
_GONE = "SELECT substr(id, length(?) + 2) FROM marks WHERE kind = 'gone' AND id LIKE ? || ':%'"
#: The images without a stored file or one on its way, and those without generation data.
_WITHOUT_FILE = (
    "FROM items i WHERE i.kind = 'Image' AND NOT EXISTS "
    "(SELECT 1 FROM media m WHERE m.kind = 'image' AND m.id = CAST(i.id AS INTEGER)) "
    "AND NOT EXISTS (SELECT 1 FROM under_way u WHERE u.kind = 'Image' AND u.id = i.id)"
)
_WITHOUT_DATA = (
    "FROM items i WHERE i.kind = 'Image' AND NOT EXISTS "
    "(SELECT 1 FROM items g WHERE g.kind = 'GenerationData' AND g.id = i.id)"
)
_HELD_IMAGES = (
    "SELECT parent, count(*) FROM known WHERE kind = 'Image' "
    "AND 'Image:' || id NOT IN (SELECT id FROM marks WHERE kind = 'gone') GROUP BY parent"
)
#: The excluded that are not held all the same (flagged only after they were archived).
_EXCLUDED = (
    "FROM marks e WHERE e.kind = 'excluded_image' "
    "AND NOT EXISTS (SELECT 1 FROM items i WHERE i.kind = 'Image' AND i.id = e.id) "
    "AND NOT EXISTS (SELECT 1 FROM under_way u WHERE u.kind = 'Image' AND u.id = e.id)"
)
_EXCLUDED_IMAGES = f"SELECT value, count(*) {_EXCLUDED} GROUP BY value"
#: Of one post; the images are not looked at, of which there may be a million.
_EXCLUDED_OF_POST = f"SELECT count(*) {_EXCLUDED} AND e.value = ?"


@dataclass(frozen=True, slots=True)
class Count:
    """A number that the site tells apart from its lists, against what is held."""

    stem: str
    """The feed that it is about."""
    source: str
    """The call that tells it."""
    count: int
    levels: int
    """The maturity levels that it counts: a viewer's cap, or 31 for all; 0: not known."""
    held: int | None
    """Held and excluded of these levels; ``None``: cannot be compared."""

    @property
    def missing(self) -> int:
        """How many the lists did not name."""
        return 0 if self.held is None else max(0, self.count - self.held)


def scope(db: sqlite3.Connection) -> dict[str, Any]:
    """Return what the crawl was asked for: ``include``, ``restricted``, ``levels``."""
    row = db.execute("SELECT value FROM facts WHERE name = 'scope'").fetchone()
    found: dict[str, Any] = json.loads(row[0]) if row and row[0] else {}
    return found


def gone(db: sqlite3.Connection, kind: str) -> set[str]:
    """Return the ids of class *kind* that the site shows no more."""
    return {number for (number,) in db.execute(_GONE, (kind, kind))}


def marks(db: sqlite3.Connection, kind: str) -> dict[str, str]:
    """Return the marks of a kind by id."""
    return dict(db.execute("SELECT id, value FROM marks WHERE kind = ?", (kind,)))


def images_of_posts(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Return for each listed post: images held or excluded, images by the site's own count."""
    posts = marks(db, "post")
    asked = scope(db)
    wanted = "images" in asked.get("include", ["images"])
    if not wanted or asked.get("levels", ALL_LEVELS) != ALL_LEVELS:
        return {}  # the count is of all levels
    held = dict(db.execute(_HELD_IMAGES))
    for post_id, number in db.execute(_EXCLUDED_IMAGES):
        held[post_id] = held.get(post_id, 0) + number
    return {
        int(post_id): (held.get(post_id, 0), count)
        for post_id, known in posts.items()
        if (count := json.loads(known)[2]) is not None  # only the list of posts tells it
    }


def short_posts(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Return the posts of which images are missing: id → (held or excluded, expected)."""
    return {post: found for post, found in images_of_posts(db).items() if found[0] < found[1]}


def stored_images(
    db: sqlite3.Connection, after: int, limit: int
) -> list[tuple[int, str, str | None]]:
    """Return id, path and content type of stored originals, by id, those behind *after*."""
    return db.execute(
        "SELECT id, path, content_type FROM media WHERE kind = 'image' AND id > ? "
        "ORDER BY id LIMIT ?",
        (after, limit),
    ).fetchall()


def is_whole(
    ledger: Ledger, post_id: int, expected: int, *, kinds: list[str], files: bool, signed_in: bool
) -> bool:
    """Tell whether asking for the images of a post would bring nothing new.

    *expected*: images by the site's own count; *kinds*: the item classes wanted of each of them;
    *files*: so are their files.
    """
    held = ledger.count_items(kinds[0], post_id) if kinds else expected
    if held < expected:
        held += ledger.db.execute(_EXCLUDED_OF_POST, (str(post_id),)).fetchone()[0]
    if held < expected and not is_settled(ledger, post_id, signed_in=signed_in):
        return False
    return not any(
        wanted and _due(ledger, refused, query, post_id, signed_in=signed_in)
        for wanted, refused, query in (
            ("GenerationData" in kinds, "generation_data", _WITHOUT_DATA),
            (files, "image", _WITHOUT_FILE),
        )
    )


def posts_with_due_files(ledger: Ledger, *, signed_in: bool) -> list[int]:
    """Return the posts with images whose file is wanting and worth asking for in this run."""
    posts = ledger.db.execute(f"SELECT DISTINCT i.parent {_WITHOUT_FILE}").fetchall()
    return [
        int(post)
        for (post,) in posts
        if post and _due(ledger, "image", _WITHOUT_FILE, int(post), signed_in=signed_in)
    ]


def _due(ledger: Ledger, refused: str, query: str, post_id: int, *, signed_in: bool) -> bool:
    """Tell whether something of the post's images is wanting and worth asking for."""
    if ledger.marked("gone", f"Post:{post_id}") is not None:
        return False
    refusals = Refusals(ledger)
    found = ledger.db.execute(f"SELECT i.id {query} AND i.parent = ?", (str(post_id),)).fetchall()
    return any(
        refusals.is_due(refused, int(image_id), signed_in=signed_in)
        for (image_id,) in found
        if ledger.marked("gone", f"Image:{image_id}") is None
    )


def counts(db: sqlite3.Connection) -> list[Count]:
    """Return every independent count, against what is held."""
    told = []
    for name, value in sorted(marks(db, "expected").items()):
        stem, source = name.split(" ", 1)
        count, levels = json.loads(value)
        told.append(Count(stem, source, count, levels, _held(db, stem, levels)))
    posts = images_of_posts(db)
    if posts:
        # A post that holds more than it counts does not make up for one that holds less.
        whole = sum(min(held, expected) for held, expected in posts.values())
        number = sum(expected for _, expected in posts.values())
        told.append(Count("images", "post.getInfinite imageCount", number, ALL_LEVELS, whole))
    return told


def are_models_listed(ledger: Ledger) -> bool:
    """Tell whether this pass has listed all models that the site counts; no, if nobody knows.

    A model that only an earlier pass has listed may have changed, or may hide a new one by its
    being gone.
    """
    told = [count for count in counts(ledger.db) if count.stem == "models"]
    now = str(ledger.passes)
    old = {number for number, seen in ledger.marks("listed_model").items() if seen != now}
    old -= gone(ledger.db, "Model") | ledger.marks("excluded_model").keys()
    whole = any(count.levels == ALL_LEVELS and count.held is not None for count in told)
    return whole and not old and not any(count.missing for count in told)


def _held(db: sqlite3.Connection, stem: str, levels: int) -> int | None:
    """Count what is held of *levels*; images keep no level here, see :func:`images_of_posts`."""
    asked = scope(db)
    include = set(asked["include"])
    walked = {"models": "models" in include, "posts": bool(include - {"models"})}
    if not levels or asked["restricted"] or not walked.get(stem):
        return None
    kind, mark = ("Model", "model") if stem == "models" else ("Post", "post")
    known = {
        number: json.loads(value)[3] if mark == "post" else int(value)
        for number, value in marks(db, mark).items()
    }
    lost = gone(db, kind)
    held = sum(
        not level or bool(level & levels) for number, level in known.items() if number not in lost
    )
    return held + len(marks(db, f"excluded_{mark}").keys() - known.keys())


def is_settled(ledger: Ledger, post_id: int, *, signed_in: bool) -> bool:
    """Tell whether a short post has been found as short before, so that asking is of no use."""
    refusals = Refusals(ledger)
    refusal = refusals.of("post", post_id)
    if refusal is None or refusal.reason != IMAGES_MISSING:
        return False
    return not refusals.is_due("post", post_id, signed_in=signed_in)
