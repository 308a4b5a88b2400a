"""The pages of the gallery. Each method answers one kind of address."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from civitai_crawler.gallery import report, texts
from civitai_crawler.gallery.filters import FIELDS, LEVELS, Filter, number
from civitai_crawler.gallery.paging import Page

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.templating import Jinja2Templates

    from civitai_crawler.gallery.store import Row, Store

#: Choices that a filter offers at most; the most used come first.
_CHOICES = 300
#: Things of a kind that a page about something else shows.
_SOME = 24
_IMAGES = """
    SELECT images.id, type, path, width, height, nsfw_level, name, duration,
        substr(prompt, 1, 160) AS alt
    FROM images LEFT JOIN generation_data USING (id)"""
#: A still that stands for a model, of its newest version that has one.
_MODELS = """
    SELECT id, name, type, creator, base_models, nsfw_level, mode, (
        SELECT images.id FROM model_versions AS v JOIN images ON images.version_id = v.id
        WHERE v.model_id = models.id AND images.type = 'image' AND images.path IS NOT NULL
        ORDER BY v."index" LIMIT 1) AS cover
    FROM models"""
_POSTS = """
    SELECT id, title, creator, published_at, nsfw_level, version_id,
        (SELECT count(*) FROM images WHERE post_id = posts.id) AS held, (
        SELECT images.id FROM images WHERE post_id = posts.id AND type = 'image'
        AND path IS NOT NULL ORDER BY "index" LIMIT 1) AS cover
    FROM posts"""
_RESOURCES = """
    SELECT resources.*, models.id IS NOT NULL AS has_model, v.id IS NOT NULL AS has_version
    FROM resources LEFT JOIN models ON models.id = resources.model_id
        LEFT JOIN model_versions AS v ON v.id = resources.version_id
    WHERE image_id = ? ORDER BY position"""


class Pages:
    """Answers with pages about what *store* holds."""

    def __init__(self, store: Store, archives: dict[str, Path], templates: Jinja2Templates) -> None:
        self._store = store
        self._archives = archives
        self._templates = templates

    def home(self, request: Request) -> Response:
        return self._page(request, "home", creators=self._creators, newest=self._some(Filter()))

    def creator(self, request: Request) -> Response:
        name = request.path_params["name"]
        known = next((one for one in self._creators if one["name"] == name), None)
        if known is None:
            raise HTTPException(404, "This archive has nothing of that creator.")
        return self._page(
            request,
            "creator",
            creator=known,
            record=self._store.row("SELECT * FROM creators WHERE username = ?", name),
            models=self._store.rows(f"{_MODELS} WHERE creator = ? ORDER BY id DESC", name),
            posts=self._posts_of("creator", name),
            images=self._some(Filter(creator=name)),
        )

    def models(self, request: Request) -> Response:
        given = {
            name: request.query_params.get(name, "").strip() for name in ("q", "creator", "type")
        }
        clauses = {
            "q": "name LIKE '%' || ? || '%'", "creator": "creator = ?", "type": "type = ?"
        }  # fmt: skip
        chosen = {name: value for name, value in given.items() if value}
        where = " AND ".join(clauses[name] for name in chosen) or "1"
        sql = f"SELECT id FROM models WHERE {where} ORDER BY id DESC"  # noqa: S608  # our own text
        page = Page.of(self._store.ids(sql, tuple(chosen.values())), request.query_params)
        types = self._store.rows("SELECT DISTINCT type FROM models ORDER BY type")
        return self._page(
            request, "models", page=page, models=self._by_id(_MODELS, "models", page.ids),
            given=given, types=[row["type"] for row in types],
        )  # fmt: skip

    def model(self, request: Request) -> Response:
        model = self._one(request, "models")
        versions = self._store.rows(
            'SELECT * FROM model_versions WHERE model_id = ? ORDER BY "index", id DESC', model["id"]
        )
        files = self._store.rows("SELECT * FROM model_files WHERE model_id = ?", model["id"])
        chosen = Filter(model=model["id"])
        return self._page(
            request, "model", model=model, versions=versions, files=files, filter=chosen,
            images=self._some(chosen), shown=len(self._store.ids(*chosen.sql())),
            made=len(self._store.ids(*Filter(resource=model["id"]).sql())),
        )  # fmt: skip

    def version(self, request: Request) -> Response:
        version = self._one(request, "model_versions")
        chosen = Filter(version=version["id"])
        files = self._store.rows("SELECT * FROM model_files WHERE version_id = ?", version["id"])
        return self._page(
            request, "version", version=version, files=files, filter=chosen,
            model=self._store.row("SELECT * FROM models WHERE id = ?", version["model_id"]),
            posts=self._posts_of("version_id", version["id"]), images=self._some(chosen),
            shown=len(self._store.ids(*chosen.sql())),
        )  # fmt: skip

    def posts(self, request: Request) -> Response:
        creator = request.query_params.get("creator", "")
        where, values = ("creator = ?", (creator,)) if creator else ("1", ())
        sql = f"SELECT id FROM posts WHERE {where} ORDER BY id DESC"  # noqa: S608  # our own text
        page = Page.of(self._store.ids(sql, values), request.query_params)
        posts = self._by_id(_POSTS, "posts", page.ids)
        return self._page(request, "posts", page=page, posts=posts, creator=creator)

    def post(self, request: Request) -> Response:
        post = self._one(request, "posts")
        chosen = Filter(post=post["id"])
        page = Page.of(self._store.ids(*chosen.sql()), request.query_params)
        version = self._store.row("SELECT * FROM model_versions WHERE id = ?", post["version_id"])
        return self._page(
            request, "post", post=post, page=page, filter=chosen, version=version,
            images=self._by_id(_IMAGES, "images", page.ids),
        )  # fmt: skip

    def images(self, request: Request) -> Response:
        chosen = Filter.of(request.query_params)
        page = Page.of(self._store.ids(*chosen.sql()), request.query_params)
        return self._page(
            request, "images", page=page, filter=chosen, choices=self._choices,
            images=self._by_id(_IMAGES, "images", page.ids), fields=FIELDS,
        )  # fmt: skip

    def image(self, request: Request) -> Response:
        image = self._one(request, "images")
        chosen = Filter.of(request.query_params)
        ids = self._store.ids(*chosen.sql())
        at = ids.index(image["id"]) if image["id"] in ids else None
        data = self._store.row("SELECT * FROM generation_data WHERE id = ?", image["id"])
        post = self._store.row("SELECT id, title FROM posts WHERE id = ?", image["post_id"])
        return self._page(
            request, "image", image=image, data=data, post=post, filter=chosen,
            before=ids[at - 1] if at else None,
            after=ids[at + 1] if at is not None and at + 1 < len(ids) else None,
            at=at, total=len(ids), page_number=(at or 0) // Page.SIZE + 1,
            resources=self._store.rows(_RESOURCES, image["id"]),
            whole=texts.a1111(dict(data), image["width"], image["height"]) if data else "",
        )  # fmt: skip

    def failures(self, request: Request) -> Response:
        reason = request.query_params.get("reason", "")
        where, values = ("reason = ?", (reason,)) if reason else ("1", ())
        sql = f"SELECT rowid FROM failures WHERE {where} ORDER BY rowid"  # noqa: S608  # our own text
        page = Page.of(self._store.ids(sql, values), request.query_params)
        rows = self._by_id("SELECT rowid, * FROM failures", "failures", page.ids, key="rowid")
        reasons = self._store.rows(
            "SELECT reason, count(*) AS held FROM failures GROUP BY reason ORDER BY held DESC"
        )
        return self._page(
            request, "failures", page=page, failures=rows, reasons=reasons, reason=reason
        )

    def report(self, request: Request) -> Response:
        reports = {name: report.read(folder) for name, folder in self._archives.items()}
        return self._page(request, "report", reports=reports)

    def error(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        detail = getattr(error, "detail", "")
        return self._page(request, "error", status_code=status, status=status, detail=detail)

    @cached_property
    def _creators(self) -> list[Row]:
        """Everyone whose work is here, whether asked for or found on the way."""
        return self._store.rows("""
            WITH names AS (SELECT username AS name FROM creators
                UNION SELECT creator FROM models UNION SELECT creator FROM posts
                UNION SELECT creator FROM images)
            SELECT name, (SELECT count(*) FROM models WHERE creator = names.name) AS models,
                (SELECT count(*) FROM posts WHERE creator = names.name) AS posts,
                (SELECT count(*) FROM images WHERE creator = names.name) AS images,
                names.name IN (SELECT username FROM creators) AS is_archived
            FROM names WHERE name > '' ORDER BY is_archived DESC, images DESC, name LIMIT 500""")

    @cached_property
    def _choices(self) -> dict[str, list[Row]]:
        """What the filters offer: ``value``, ``label`` and how many images it would find."""
        queries = {
            "model": "SELECT id AS value, name AS label FROM models ORDER BY name LIMIT ?",
            "resource": (
                "SELECT model_id AS value, max(model_name) AS label, count(*) AS held"
                " FROM resources WHERE model_id IS NOT NULL"
                " GROUP BY model_id ORDER BY held DESC LIMIT ?"
            ),
            "base_model": (
                "SELECT base_model AS value, base_model AS label FROM ("
                "SELECT base_model FROM images UNION SELECT base_model FROM resources"
                " UNION SELECT base_model FROM model_versions)"
                " WHERE base_model > '' ORDER BY 1 LIMIT ?"
            ),
            "type": "SELECT DISTINCT type AS value, type AS label FROM images LIMIT ?",
            "creator": (
                "SELECT creator AS value, creator AS label FROM images WHERE creator > ''"
                " GROUP BY creator ORDER BY count(*) DESC LIMIT ?"
            ),
        }
        return {name: self._store.rows(sql, _CHOICES) for name, sql in queries.items()}

    def _one(self, request: Request, table: str) -> Row:
        asked = number(request.path_params["id"])
        row = self._store.row(f"SELECT * FROM {table} WHERE id = ?", asked)  # noqa: S608  # our own names
        if row is None:
            raise HTTPException(404, "This archive has no such record.")
        return row

    def _some(self, chosen: Filter) -> list[Row]:
        ids = self._store.ids(*chosen.sql())[:_SOME]
        return self._by_id(_IMAGES, "images", list(ids))

    def _posts_of(self, column: str, value: Any) -> list[Row]:
        return self._store.rows(
            f"{_POSTS} WHERE {column} = ? ORDER BY id DESC LIMIT {_SOME}", value
        )

    def _by_id(self, sql: str, table: str, ids: list[int], key: str = "id") -> list[Row]:
        """Return the rows of *ids* in their order."""
        marks = ", ".join("?" * len(ids))
        rows = {
            row[key]: row
            for row in self._store.rows(f"{sql} WHERE {table}.{key} IN ({marks})", *ids)
        }
        return [rows[one] for one in ids if one in rows]

    def _page(
        self, request: Request, name: str, *, status_code: int = 200, **values: Any
    ) -> Response:
        values = {"levels": LEVELS, "archives": list(self._archives), **values}
        return self._templates.TemplateResponse(
            request, f"{name}.html", values, status_code=status_code
        )
