"""The gallery as a person uses it, in a real Chromium: Debian's, or that of ``CHROMIUM``.

Pictures of what was seen go to the folder ``GALLERY_SCREENSHOTS``, if it is set.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.sync_api import expect, sync_playwright

from civitai_crawler.archive import records
from civitai_crawler.items import GenerationData, Image, Model, ModelVersion
from tests.gallery import hostile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ARGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to have Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium here: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=ARGS)
        yield opened
        opened.close()


class Watch:
    """Notes what a page does that no page of ours may do."""

    def __init__(self, page: Page, base: str) -> None:
        self.seen: list[str] = []
        self._base = base
        page.on("dialog", self._dialog)
        page.on("popup", lambda popup: self.seen.append(f"popup {popup.url}"))
        page.on("pageerror", lambda error: self.seen.append(f"script {error}"))
        page.on("console", self._console)
        page.on("request", self._request)
        page.expose_function("pwn", lambda *_: self.seen.append("a script of others has run"))

    def _dialog(self, dialog) -> None:
        self.seen.append(dialog.message)
        dialog.dismiss()

    def _console(self, message) -> None:
        if "Content Security Policy" in message.text:
            self.seen.append(message.text)

    def _request(self, request) -> None:
        if not request.url.startswith(self._base + "/"):
            self.seen.append(request.url)


def open_page(browser: Browser, base: str, scheme="dark") -> tuple[Page, Watch]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 850}, color_scheme=scheme, base_url=base
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=base)
    context.set_default_timeout(15_000)
    page = context.new_page()
    return page, Watch(page, base)


@pytest.fixture
def visit(browser, site):
    page, watch = open_page(browser, site.base)
    yield page
    page.context.close()
    assert watch.seen == []


@pytest.fixture
def shoot():
    folder = os.environ.get("GALLERY_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=Path(folder, f"{name}.png"))

    return take


def clipboard(page: Page, other_than: str = "") -> str:
    """Return what was copied, once it is something else than before."""
    text = other_than
    for _ in range(100):
        text = page.evaluate("navigator.clipboard.readText()")
        if text != other_than:
            break
        page.wait_for_timeout(50)
    return text


def listed(page: Page) -> int:
    return int(page.locator("[data-total]").inner_text().replace(",", ""))


@pytest.fixture(scope="module")
def favourite(archive):
    """Return an image with everything: a model that is held, prompts, and a weight."""
    versions = {one.id: one for one in records(archive, ModelVersion)}
    images = {one.id: one for one in records(archive, Image)}
    for data in records(archive, GenerationData):
        image = images[data.id]
        if (
            image.version_id in versions and image.path and image.type == "image"
            and data.prompt and data.negative_prompt
            and any(one.version_id in versions and one.strength for one in data.resources)
        ):  # fmt: skip
            return image, data, versions[image.version_id]
    pytest.fail("the stand-in has no such image")


def test_from_a_model_to_an_image_and_its_prompt(visit, shoot, archive, favourite):
    image, data, version = favourite
    model = next(one for one in records(archive, Model) if one.id == version.model_id)
    visit.goto("/")
    shoot(visit, "1-creators")
    visit.locator(".creator", has_text=str(model.creator)).click()
    shoot(visit, "2-creator")
    visit.locator(f'.card[href="/models/{model.id}"]').click()
    expect(visit.locator("h1")).to_have_text(model.name)
    shoot(visit, "3-model")
    visit.get_by_role("link", name=version.name, exact=True).first.click()
    shoot(visit, "4-version")
    visit.locator(f'.card[href="/posts/{image.post_id}"]').click()
    shoot(visit, "5-post")
    visit.locator(f'.card[data-id="{image.id}"]').click()
    picture = visit.locator("figure img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(visit.locator("#seed")).to_have_text(str(data.seed))
    shoot(visit, "6-image")

    visit.locator("#prompt [data-copy]").click()
    expect(visit.locator(".toast")).to_have_text("Copied")
    assert clipboard(visit) == data.prompt
    visit.get_by_role("button", name="Copy all").click()
    whole = clipboard(visit, other_than=data.prompt)
    assert whole.startswith(data.prompt)
    assert f"\nNegative prompt: {data.negative_prompt}\n" in whole
    assert re.search(rf"\nSteps: {data.steps}, .*Seed: {data.seed}\b", whole)

    held = {one.id for one in records(archive, ModelVersion)}
    used = next(one for one in data.resources if one.version_id in held and one.strength)
    row = visit.locator(".resources li", has=visit.locator(f'[href$="/{used.version_id}"]'))
    assert f"{used.strength:g}" in row.inner_text()
    row.get_by_role("link").first.click()
    visit.wait_for_url(f"**/versions/{used.version_id}")
    expect(visit.locator("h2", has_text="Files")).to_be_visible()


def test_search_filters_and_pages(visit, shoot, archive):
    images = {one.id: one for one in records(archive, Image)}
    found = [
        images[one.id] for one in records(archive, GenerationData)
        if re.search(r"\blanterns\b", one.prompt or "")
    ]  # fmt: skip
    visit.goto("/")
    visit.keyboard.press("/")
    visit.keyboard.type("lanterns")
    visit.keyboard.press("Enter")
    visit.wait_for_url("**/images?q=lanterns")
    assert listed(visit) == len(found)
    shoot(visit, "7-search")
    level = min(one.nsfw_level for one in found if one.nsfw_level)
    visit.locator(f'.chip:has(input[value="{level}"])').click()
    visit.locator(".filters").get_by_role("button", name="Show").click()
    visit.wait_for_url(f"**level={level}**")
    assert 0 < listed(visit) == sum(one.nsfw_level == level for one in found) < len(found)
    visit.get_by_role("link", name="Clear").click()
    visit.get_by_label("Type").select_option("video")
    visit.locator(".filters").get_by_role("button", name="Show").click()
    assert listed(visit) == sum(one.type == "video" for one in images.values())
    visit.goto("/images")
    visit.get_by_role("link", name="Next").click()
    visit.wait_for_url("**page=2")
    assert visit.locator(".card").count() == len(images) - 60


def test_the_keyboard_leads_everywhere(visit):
    def focused() -> int:
        return int(visit.evaluate("document.activeElement.dataset.id ?? 0"))

    visit.goto("/images")
    ids = [int(one.get_attribute("data-id")) for one in visit.locator(".card").all()]
    columns = int(visit.locator(".grid").evaluate(
        "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"))  # fmt: skip
    for key, at in [
        ("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns),
        ("ArrowUp", 0),
    ]:  # fmt: skip
        visit.keyboard.press(key)
        assert focused() == ids[at], key
        visit.wait_for_timeout(200)  # the focused card has moved a little by then
    visit.keyboard.press("Enter")
    visit.wait_for_url(f"**/images/{ids[0]}")
    visit.keyboard.press("ArrowRight")
    visit.wait_for_url(f"**/images/{ids[1]}")
    visit.keyboard.press("ArrowLeft")
    visit.wait_for_url(f"**/images/{ids[0]}")
    visit.keyboard.press("Escape")
    visit.wait_for_url("**/images?page=1")
    visit.locator(".card").last.focus()
    visit.keyboard.press("ArrowRight")
    visit.wait_for_url("**page=2")
    visit.keyboard.press("/")
    visit.keyboard.type("x/ArrowRight")
    visit.keyboard.press("Escape")
    assert visit.url.endswith("page=2")
    visit.keyboard.press("Escape")
    visit.wait_for_url("**/")


def test_dark_and_light(browser, site, shoot):
    colours = {}
    for scheme in ("dark", "light"):
        page, watch = open_page(browser, site.base, scheme)
        page.goto("/images")
        shoot(page, f"8-{scheme}")
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.goto("/report")
        shoot(page, f"9-report-{scheme}")
        page.context.close()
        assert watch.seen == []
    assert colours == {"dark": "rgb(16, 19, 24)", "light": "rgb(246, 247, 249)"}


#: Does what a person could do to an element, to all of them.
TOUCH = """() => {
    for (const each of document.querySelectorAll("*")) {
        if (each.tagName === "DETAILS") each.open = true;
        for (const kind of ["mouseover", "mouseenter", "pointerenter", "focus", "toggle", "load"])
            each.dispatchEvent(new Event(kind, { bubbles: true }));
        each.focus?.();
    }
}"""
#: What would be left of an attack that came through.
FOUND = """() => [
    ...[...document.querySelectorAll("*")].filter((each) =>
        [...each.attributes].some(({ name }) => /^on|^style$|^srcdoc$/i.test(name))),
    ...document.querySelectorAll("script:not([src='/static/gallery.js'])"),
    ...document.querySelectorAll("iframe, object, embed, base, meta[http-equiv], svg, math, x"),
    ...document.querySelectorAll("form:not([action='/images']):not([action='/models'])"),
    ...document.querySelectorAll("link:not([href^='/static/']), main img[src^=http]"),
    ...[...document.links].filter((each) => !/^https?:$/.test(each.protocol)),
].map((each) => each.outerHTML.slice(0, 200))"""
NAME = quote(hostile.ALL, safe="")
HOSTILE_PAGES = [
    "/", f"/creators/{NAME}", "/models", "/models/10", "/versions/20", "/posts", "/posts/40",
    "/images", "/images/1", "/failures", "/report", f"/images?q={NAME}", f"/models?q={NAME}",
    f"/images?creator={NAME}", f"/failures?reason={NAME}", f"/{NAME}", f"/posts?creator={NAME}",
]  # fmt: skip


def test_nothing_that_others_wrote_comes_alive(browser, enemy, shoot):
    page, watch = open_page(browser, enemy.base)
    for number, path in enumerate(HOSTILE_PAGES):
        page.goto(path)
        page.evaluate(TOUCH)
        page.wait_for_timeout(50)
        assert page.evaluate(FOUND) == [], path
        assert watch.seen == [], path
        shoot(page, f"hostile-{number}")
    page.goto("/images/1")
    # Inert, but all there: it is what the record says.
    assert hostile.ATTACKS[0] in page.locator("#prompt p").inner_text()
    page.locator("#prompt [data-copy]").click()
    expect(page.locator(".toast")).to_have_text("Copied")
    assert hostile.ATTACKS[2] in clipboard(page)
    page.context.close()
    assert watch.seen == []


def test_a_page_elsewhere_sees_nothing(browser, site, archive, tmp_path):
    """A page of another origin can neither show, read nor embed anything."""
    number = next(one.id for one in records(archive, Image) if one.path and one.type == "image")
    (tmp_path / "evil.html").write_text(
        f"<img src='{site.base}/media/{number}'><iframe src='{site.base}/'></iframe>"
    )
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "evil.html").as_uri())
    assert page.locator("img").evaluate("image => image.naturalWidth") == 0
    read = "(url) => fetch(url).then(() => 'read', () => 'refused')"
    assert page.evaluate(read, f"{site.base}/images") == "refused"
    assert page.frame_locator("iframe").locator("main").count() == 0
    context.close()
