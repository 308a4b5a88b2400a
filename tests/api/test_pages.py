from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from civitai_crawler.api import pages
from civitai_crawler.exceptions import UnexpectedShapeError
from tests.api import recordings

POST_ROUTE = "/posts/[postId]/[[...postSlug]]"
CANONICAL = '<link rel="canonical" href="https://civitai.com/posts/801001"/>'


def page(data: Any = None, *, title: str = "", head: str = "") -> str:
    """Make an HTML page with the site's data script, or without one."""
    script = ""
    if data is not None:
        text = data if isinstance(data, str) else json.dumps(data)
        script = f'<script id="__NEXT_DATA__" type="application/json">{text}</script>'
    return f"<html><head><title>{title}</title>{head}</head><body>{script}</body></html>"


def data(*queries: Any, state: Any = None, route: Any = POST_ROUTE, **props: Any) -> dict[str, Any]:
    if state is None:
        state = {"json": {"queries": list(queries)}}
    return {"page": route, "props": {"pageProps": {"trpcState": state, **props}}}


def query(name: str, value: Any) -> dict[str, Any]:
    return {"queryKey": [name.split("."), {"type": "query"}], "state": {"data": value}}


@pytest.mark.parametrize("case", recordings.recorded("pages/post*"))
def test_recorded_post_pages(case):
    found = pages.post_page(recordings.body(case, "body.html"))

    assert dataclasses.asdict(found) == recordings.expected(case)


@pytest.mark.parametrize("case", recordings.recorded("pages/image*"))
def test_recorded_image_pages(case):
    found = pages.image_page(recordings.body(case, "body.html"))

    assert dataclasses.asdict(found) == recordings.expected(case)


@pytest.mark.parametrize(
    "case", [*recordings.recorded("pages/none_*"), *recordings.recorded("pages/image*")]
)
def test_recorded_pages_that_are_no_post_page(case):
    with pytest.raises(UnexpectedShapeError):
        pages.post_page(recordings.body(case, "body.html"))


@pytest.mark.parametrize(
    "case", [*recordings.recorded("pages/none_*"), *recordings.recorded("pages/post*")]
)
def test_recorded_pages_that_are_no_image_page(case):
    with pytest.raises(UnexpectedShapeError):
        pages.image_page(recordings.body(case, "body.html"))


# --- the script ---------------------------------------------------------------------------------


def test_the_script_is_found_with_other_attributes():
    html = '<script defer nonce="n" id="__NEXT_DATA__" crossorigin>\n{"page": "/"}\n</script>'

    assert pages.next_data(html) == {"page": "/"}


@pytest.mark.parametrize(
    "html",
    ["", "<html>Just a moment...</html>", page("{"), page("[]"), page("[" * 100_000), page("")],
)
def test_pages_without_data(html):
    with pytest.raises(UnexpectedShapeError):
        pages.next_data(html)
    with pytest.raises(UnexpectedShapeError):
        pages.image_page(html)
    with pytest.raises(UnexpectedShapeError):
        pages.post_page(html)


# --- post pages ---------------------------------------------------------------------------------

POST = {"id": 801001, "title": "T", "modelVersionId": 701001, "user": {"username": "lumen_fox"}}


@pytest.mark.parametrize(
    "state",
    [
        {"json": {"queries": [query("image.get", {"id": 1}), query("post.get", POST)]}},
        {"queries": [query("post.get", POST)]},
        {"queries": [{"queryKey": ["post.get", {}], "state": {"data": POST}}]},
        {"queries": [{"queryKey": [["post", "get"]], "state": {}}, query("post.get", POST)]},
        {"queries": [None, {}, {"queryKey": []}, {"queryKey": [None]}, query("post.get", POST)]},
    ],
)
def test_queries_are_found_by_key(state):
    found = pages.post_page(page(data(state=state)))

    assert (found.title, found.version_id, found.username) == ("T", 701001, "lumen_fox")
    assert found.post == POST


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": "", "modelVersionId": None, "user": None}, (None, None, None)),
        ({"title": "  "}, (None, 701001, "lumen_fox")),
        ({"title": " T "}, (" T ", 701001, "lumen_fox")),
        ({"modelVersionId": None, "modelVersion": {"id": 701002}}, ("T", 701002, "lumen_fox")),
        ({"modelVersionId": "701003"}, ("T", 701003, "lumen_fox")),
        ({"modelVersionId": True, "user": {}}, ("T", None, None)),
        ({"modelVersionId": "x"}, ("T", None, "lumen_fox")),
        ({"modelVersionId": -1}, ("T", None, "lumen_fox")),
    ],
)
def test_posts_have_gaps(changes, expected):
    found = pages.post_page(page(data(query("post.get", POST | changes))))

    assert (found.title, found.version_id, found.username) == expected


def test_a_post_without_version_takes_none_from_its_images():
    images = {"pages": [{"items": [{"id": 910001, "modelVersionId": 701009}]}]}
    found = pages.post_page(
        page(
            data(
                query("image.getInfinite", images),
                query("post.get", POST | {"modelVersionId": None}),
            )
        )
    )

    assert found.version_id is None
    assert found.images == [{"id": 910001, "modelVersionId": 701009}]


def test_all_pages_of_the_images_are_joined():
    value = {"pages": [{"items": [{"id": 1}, None]}, {"items": None}, 5, {"items": [{"id": 2}]}]}
    html = page(data(query("post.get", POST), query("image.getInfinite", value)))

    assert pages.post_page(html).images == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Lantern &amp; Meadow &lt;v2&gt; | Civitai", ("Lantern & Meadow <v2>", None)),
        ("\n It&#x27;s | here  |  Civitai\n", ("It's | here", None)),
        ("Image post by lumen_fox | Civitai", (None, "lumen_fox")),
        ("Civitai | Share your models", (None, None)),
        (" | Civitai", (None, None)),
        ("", (None, None)),
        ("Civitai", (None, None)),
    ],
)
def test_titles_of_old_pages(title, expected):
    for html in (
        page(data(route=POST_ROUTE), title=title),
        page(title=title, head=CANONICAL),
        page(title=title, head='"modelVersionId" : 701001,'),
    ):
        found = pages.post_page(html)
        assert (found.title, found.username) == expected
        assert found.post is None


def test_the_version_of_old_pages():
    html = page(title="T | Civitai", head='{"modelVersionId":null}{"modelVersionId": 701001}')

    assert pages.post_page(html) == pages.PostPage("T", 701001, None, None, [])


@pytest.mark.parametrize("state", ["broken", "[]", 5, None])
def test_a_state_that_cannot_be_read_leaves_the_title(state):
    found = pages.post_page(page(data(state=state), title="T | Civitai"))

    assert found == pages.PostPage("T", None, None, None, [])


@pytest.mark.parametrize(
    "html",
    [
        page(title="We'll be right back | Civitai"),
        page(title="Just a moment..."),
        page(data(route="/login"), title="Sign in | Civitai", head='"modelVersionId":5'),
        page({}, title="T | Civitai"),
    ],
)
def test_a_title_alone_makes_no_post_page(html):
    with pytest.raises(UnexpectedShapeError):
        pages.post_page(html)


def test_a_page_without_title():
    assert pages.post_page(CANONICAL).title is None


# --- image pages --------------------------------------------------------------------------------

IMAGE_ROUTE = "/images/[imageId]"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        # by key, whatever other ids the page has
        (page(data(query("image.get", {"postId": 801001}), postId=5)), [801001]),
        (page(data(query("image.get", {"postId": None}), postId=5)), []),
        # the image does not tell: any depth, in order, once
        (page(data(query("image.get", {"id": 1}), postId=801001)), [801001]),
        (
            page(
                data(
                    query(
                        "post.other",
                        {"a": [{"postId": 3}, {"postId": {"postId": 2}}], "b": {"postId": 1}},
                    ),
                    query("post.more", [{"postId": "4"}, {"postId": 3}, {"postId": None}]),
                    route=IMAGE_ROUTE,
                )
            ),
            [3, 2, 1, 4],
        ),
        (page(data(route="/gallery/[imageId]", image={"postId": 801001})), [801001]),
        (page(data(state='[{"queries":1},[2],{"postId":3},801001]', route=IMAGE_ROUTE)), [801001]),
        (page(data(route=IMAGE_ROUTE)), []),
        (page(data(state="broken", route=IMAGE_ROUTE)), []),
    ],
)
def test_posts_of_an_image(html, expected):
    assert pages.image_page(html).post_ids == expected


def test_generation_data_without_the_image():
    found = pages.image_page(
        page(data(query("image.getGenerationData", {"meta": None}), route=IMAGE_ROUTE))
    )

    assert found == pages.ImagePage([], None, {"meta": None})


@pytest.mark.parametrize("route", ["/posts/[postId]", "/404", "/imagesearch", None, 5])
def test_pages_of_another_kind(route):
    with pytest.raises(UnexpectedShapeError, match="no image page"):
        pages.image_page(page(data(route=route)))
