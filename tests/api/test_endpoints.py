from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_crawler.api import endpoints

TABLE = [
    (endpoints.me(), "/api/v1/me"),
    (
        endpoints.models(username="lumen_fox"),
        "/api/v1/models?username=lumen_fox&sort=Oldest&limit=100",
    ),
    (endpoints.models(nsfw=False, sort=None), "/api/v1/models?nsfw=false&limit=100"),
    (endpoints.models(nsfw=True, sort=None), "/api/v1/models?nsfw=true&limit=100"),
    (endpoints.models(archived=True, sort=None), "/api/v1/models?archived=true&limit=100"),
    (
        endpoints.models(types=["LORA", "LoCon"], base_models=["SD 1.5", "Pony"], limit=5),
        (
            "/api/v1/models?types=LORA&types=LoCon&baseModels=SD%201.5&baseModels=Pony"
            "&sort=Oldest&limit=5"
        ),
    ),
    (
        endpoints.models(ids=[501001, 501002], sort=None),
        "/api/v1/models?ids=501001%2C501002&limit=100",
    ),
    (
        endpoints.models(username="a&b=c", cursor="2026-02-03 04:05:06.789|501004"),
        (
            "/api/v1/models?username=a%26b%3Dc&sort=Oldest&limit=100"
            "&cursor=2026-02-03%2004%3A05%3A06.789%7C501004"
        ),
    ),
    (endpoints.models(cursor=101, sort=None), "/api/v1/models?limit=100&cursor=101"),
    (endpoints.models(cursor=0, sort=None), "/api/v1/models?limit=100&cursor=0"),
    (endpoints.model(501001), "/api/v1/models/501001"),
    (endpoints.model_version(701001), "/api/v1/model-versions/701001"),
    (endpoints.model_version_by_hash("9F1C0A77B3"), "/api/v1/model-versions/by-hash/9F1C0A77B3"),
    (endpoints.model_version_by_hash("a/b?"), "/api/v1/model-versions/by-hash/a%2Fb%3F"),
    (
        endpoints.images(model_version_id=701001),
        (
            "/api/v1/images?modelVersionId=701001&browsingLevel=31&withMeta=true&flatMeta=true"
            "&limit=200"
        ),
    ),
    (
        endpoints.images(model_id=501001, with_meta=False, flat_meta=False, browsing_level=None),
        "/api/v1/images?modelId=501001&limit=200",
    ),
    (
        endpoints.images(post_id=801001, image_id=910001, username="lumen_fox", sort="Newest"),
        (
            "/api/v1/images?postId=801001&imageId=910001&username=lumen_fox&sort=Newest"
            "&browsingLevel=31&withMeta=true&flatMeta=true&limit=200"
        ),
    ),
    (
        endpoints.images(cursor="2|1777717805120", with_meta=False, flat_meta=False, limit=2),
        "/api/v1/images?browsingLevel=31&limit=2&cursor=2%7C1777717805120",
    ),
    (endpoints.download(701001), "/api/download/models/701001"),
    (endpoints.download(701001, file_id=601001), "/api/download/models/701001?fileId=601001"),
    (
        endpoints.download(
            701001, type_="Training Data", format_="Core ML", size="full", fp="fp16"
        ),
        "/api/download/models/701001?type=Training%20Data&format=Core%20ML&size=full&fp=fp16",
    ),
    (endpoints.post_page(801001), "/posts/801001"),
    (endpoints.image_page(910001), "/images/910001"),
]


@pytest.mark.parametrize(("address", "expected"), TABLE)
def test_every_call_has_its_address(address, expected):
    assert address == expected


def test_archived_is_not_sent_as_false():
    """The server takes any text for true, "false" too."""
    assert "archived" not in endpoints.models(archived=False)


@settings(deadline=None)  # the machine may be busy
@given(username=st.text(), cursor=st.text(min_size=1), types=st.lists(st.text(), max_size=3))
def test_any_text_survives_the_query(username, cursor, types):
    address = endpoints.models(username=username, cursor=cursor, types=types, sort=None)

    assert re.fullmatch(r"/api/v1/models\?[A-Za-z0-9_.~%&=-]*", address)
    query = parse_qsl(urlsplit(address).query, keep_blank_values=True, strict_parsing=True)
    assert query == [
        ("username", username),
        *(("types", type_) for type_ in types),
        ("limit", "100"),
        ("cursor", cursor),
    ]
