from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_crawler.api import links
from civitai_crawler.exceptions import UsageError

UUID = "11111111-0a1b-4c2d-8e3f-aaaaaaaaaa01"
#: As the site made them in 2023: no version, wrong variant.
OLD_UUID = "f39bbb06-3d4b-40cf-36ef-0abac596a000"
BASE = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lumen_fox", "lumen_fox"),
        ("  @lumen_fox\n", "lumen_fox"),
        ("Lumen_Fox99", "Lumen_Fox99"),
        ("some-curator", "some-curator"),
        ("old.name", "old.name"),
        ("_", "_"),
        ("123", "123"),
        ("https://civitai.com/user/lumen_fox", "lumen_fox"),
        ("https://civitai.com/user/lumen_fox/models", "lumen_fox"),
        ("https://civitai.com/user/lumen_fox/models?sort=Newest#top", "lumen_fox"),
        ("http://www.civitai.com/user/lumen_fox/", "lumen_fox"),
        ("HTTPS://CIVITAI.COM/User/Lumen_Fox", "Lumen_Fox"),
        ("https://civitai.red/user/lumen_fox/posts", "lumen_fox"),
        ("https://civitai.green/user/lumen_fox", "lumen_fox"),
        ("https://www.civitai.red/user/models", "models"),
        ("civitai.com/user/lumen_fox?next=https://example.org/", "lumen_fox"),
        ("//civitai.com/user/lumen_fox", "lumen_fox"),
        ("https://civitai.com:443/user/lumen%5Ffox", "lumen_fox"),
    ],
)
def test_users(text, expected):
    assert links.username(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "@",
        ".",
        "..",
        "--",
        "two words",
        "이름",
        "name?x=1",
        "name#x",
        "a" + chr(0),
        "civitai.com",
        "www.civitai.com",
        "https://civitai.com/",
        "https://civitai.com/user",
        "https://civitai.com/user/",
        "https://civitai.com/user/..",
        "https://civitai.com/user/a%2Fb",
        "https://civitai.com/models/501001",
        "https://example.org/user/lumen_fox",
        "https://civitai.com.example.org/user/lumen_fox",
        "https://notcivitai.com/user/lumen_fox",
        "https://civitai.com@example.org/user/lumen_fox",
        "https://image.civitai.com/user/lumen_fox",
        "ftp://civitai.com/user/lumen_fox",
        "https:///user/lumen_fox",
        "https://[civitai.com/user/lumen_fox",
        "/user/lumen_fox",
        "user/lumen_fox",
    ],
)
def test_users_that_are_none(text):
    with pytest.raises(UsageError) as caught:
        links.username(text)
    assert "Civitai" in str(caught.value)


IDS = [
    (links.model_id, "501001", 501001),
    (links.model_id, "0501001", 501001),
    (links.model_id, " 501001 ", 501001),
    (links.model_id, "2147483647", 2147483647),
    (links.model_id, "https://civitai.com/models/501001", 501001),
    (links.model_id, "https://civitai.com/models/501001/lantern-meadow-style", 501001),
    (links.model_id, "https://civitai.red/models/501001?modelVersionId=701001", 501001),
    (links.model_id, "civitai.com/api/v1/models/501001", 501001),
    (links.version_id, "701001", 701001),
    (links.version_id, "https://civitai.com/models/501001?modelVersionId=701001", 701001),
    (links.version_id, "https://civitai.com/model-versions/701001", 701001),
    (links.version_id, "https://civitai.com/api/v1/model-versions/701001", 701001),
    (links.version_id, "https://civitai.com/api/download/models/701001?type=Model", 701001),
    (links.post_id, "801001", 801001),
    (links.post_id, "https://civitai.com/posts/801001/a-slug#comments", 801001),
    (links.post_id, "www.civitai.green/Posts/801001/", 801001),
    (links.image_id, "910001", 910001),
    (links.image_id, "https://civitai.com/images/910001?tags=5101", 910001),
    (links.image_id, "https://civitai.com/gallery/910001", 910001),
]


@pytest.mark.parametrize(("parse", "text", "expected"), IDS)
def test_ids(parse, text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (links.post_id, ""),
        (links.post_id, "0"),
        (links.post_id, "000"),
        (links.post_id, "-5"),
        (links.post_id, "+5"),
        (links.post_id, "5.0"),
        (links.post_id, "1e3"),
        (links.post_id, "\u0665"),
        (links.post_id, "2147483648"),
        (links.post_id, "9" * 20),
        (links.post_id, "9" * 10_000),
        (links.post_id, "https://civitai.com/posts/2147483648"),
        (links.post_id, "https://civitai.com/posts/0"),
        (links.post_id, "https://civitai.com/posts"),
        (links.post_id, "https://civitai.com/posts/new"),
        (links.post_id, "https://civitai.com/posts%2F5"),
        (links.post_id, "https://civitai.com/images/910001"),
        (links.post_id, "https://example.org/posts/801001"),
        (links.model_id, "https://civitai.com/api/download/models/701001"),
        (links.model_id, "https://civitai.com/apimodels/701001"),
        (links.model_id, "https://civitai.com/model-versions/701001"),
        (links.version_id, "https://civitai.com/models/501001"),
        (links.version_id, "https://civitai.com/models/501001?modelVersionId=x"),
        (links.image_id, f"{BASE}/{UUID}/original=true/910001.jpeg"),
    ],
)
def test_ids_that_are_none(parse, text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/x?token=SECRET",
        "https://civitai.com/nothing?token=SECRET",
        "https://civitai.com/nothing#SECRET",
        "https://me:SECRET@example.org/x",
        "me:SECRET@example.org/x",
        "name?token=SECRET",
    ],
)
@pytest.mark.parametrize("parse", [links.username, links.post_id, links.version_id])
def test_messages_keep_keys_to_themselves(parse, text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "SECRET" not in str(caught.value)


def test_a_list_of_anything():
    text = """\ufeff801001, 801002
    # a comment, with 5 commas, in it
    https://civitai.com/posts/801003#comments   # and one behind
    801001
    ,,
    https://civitai.com/posts/801002/slug\t801004"""

    assert links.id_list(text, links.post_id) == [801001, 801002, 801003, 801004]


@pytest.mark.parametrize("text", ["", " \n\t, ", "# nothing"])
def test_an_empty_list(text):
    assert links.id_list(text, links.post_id) == []


def test_names_repeat_without_case():
    assert links.id_list("Lumen_Fox,@lumen_fox other", links.username) == ["Lumen_Fox", "other"]


def test_one_bad_entry_is_named():
    with pytest.raises(UsageError, match="'x' is no post id"):
        links.id_list("801001 x 801002", links.post_id)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, links.MAX_ID)), st.sampled_from([",", " ", "\n", " , ", "\r\n"]))
def test_lists_keep_the_first_order(ids, separator):
    found = links.id_list(separator.join(map(str, ids)), links.image_id)

    assert found == list(dict.fromkeys(ids))


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text):
    for parse in (links.username, links.model_id, links.version_id):
        try:
            parse(text)
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017  # most texts raise, some may not


# --- media --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "uuid", "image_id", "base"),
    [
        (UUID, UUID, None, None),
        (f" {OLD_UUID} ", OLD_UUID, None, None),
        (UUID.upper(), UUID.upper(), None, None),
        (f"{BASE}/{UUID}/original=true/910001.jpeg", UUID, 910001, BASE),
        (f"{BASE}/{UUID}/original=true/910001.mp4?x=1#y", UUID, 910001, BASE),
        (f"{BASE}/{UUID}/original=true/{UUID}.jpeg", UUID, None, BASE),
        (f"{BASE}/{OLD_UUID}/width=450/9304.jpeg", OLD_UUID, 9304, BASE),
        (f"{BASE}/{UUID}/width=96/lumen_fox.jpeg", UUID, None, BASE),
        (f"{BASE}/{UUID}/original=true/0.jpeg", UUID, None, BASE),
        (f"{BASE}/{UUID}/original=true/2147483648.jpeg", UUID, None, BASE),
        (f"{BASE}/{UUID}/original=true/910001", UUID, None, BASE),
        (f"{BASE}/{UUID}", UUID, None, None),
        (f"{BASE}/{UUID}/original/910001.jpeg", UUID, 910001, None),
        (
            f"http://u:p@127.0.0.1:8080/bucket/{UUID}/original=true/1.mp4",
            UUID,
            1,
            "http://127.0.0.1:8080/bucket",
        ),
        (
            f"https://image-b2.civitai.com/file/civitai-media-cache/{UUID}/original",
            UUID,
            None,
            None,
        ),
        (f"ftp://example.org/b/{UUID}/original=true/1.jpeg", UUID, 1, None),
        (f"https:///b/{UUID}/original=true/1.jpeg", UUID, 1, None),
        ("https://example.org/avatar/photo.jpg", None, None, None),
        ("https://[broken/b/c/d=e/5.jpeg", None, None, None),
        (f"{UUID}0", None, None, None),
        ("", None, None, None),
    ],
)
def test_media_addresses(address, uuid, image_id, base):
    assert links.media_uuid(address) == uuid
    assert links.image_id_from_url(address) == image_id
    assert links.media_base(address) == base


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("image", [f"original=true/{UUID}.jpeg", f"original=true,quality=100/{UUID}.jpeg"]),
        (
            "video",
            [
                f"transcode=true,original=true/{UUID}.mp4",
                f"original=true/{UUID}.mp4",
                f"original=true,quality=100/{UUID}.mp4",
            ],
        ),
        ("audio", [f"original=true/{UUID}.mp3"]),
        ("hologram", [f"original=true/{UUID}.jpeg", f"original=true,quality=100/{UUID}.jpeg"]),
    ],
)
def test_originals_have_forms(type_, expected):
    forms = links.media_forms(f"{BASE}/", UUID, type_)

    assert forms == tuple(f"{BASE}/{UUID}/{form}" for form in expected)
    assert {links.media_uuid(form) for form in forms} == {UUID}
    assert {links.media_base(form) for form in forms} == {BASE}
