"""A site of one creator with any number of images, made from their numbers and kept nowhere.

    python benchmarks/lightsite.py IMAGES [LOG]

Prints its address. Answers the calls of a complete crawl; every post has 20 images, made with one
of 40 models. LOG gets the path of each request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

PER_POST, PAGE, MODELS = 20, 200, 40
NAME = "light"
PROMPT = "masterpiece, night meadow, paper lanterns, fireflies, soft light, wide shot, " * 4


class LightSite:
    """The answers by procedure."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.posts = -(-images // PER_POST)
        self.answers: dict[str, Callable[[Any], Any]] = {
            "user.getCreator": lambda _: {"id": 7, "username": NAME, "createdAt": None},
            "userProfile.overview": lambda _: {"imageCount": images, "videoCount": 0},
            "model.getAll": lambda _: {"items": [], "nextCursor": None},
            "post.getInfinite": self.post_page,
            "image.getInfinite": self.image_page,
            "image.getGenerationData": lambda given: self.generation(given["id"]),
        }

    def count(self, post: int) -> int:
        return min(PER_POST, self.images - post * PER_POST)

    def post_page(self, given: Any) -> Any:
        first = given.get("cursor") or 0
        numbers = range(first, min(first + PAGE, self.posts))
        items = [
            {
                "id": number + 1,
                "title": f"Post {number}",
                "imageCount": self.count(number),
                "publishedAt": "2026-01-01T00:00:00.000Z",
                "nsfwLevel": 1,
                "modelVersionId": None,
                "user": {"id": 7, "username": NAME},
            }
            for number in numbers
        ]
        return {"items": items, "nextCursor": numbers.stop if numbers.stop < self.posts else None}

    def image_page(self, given: Any) -> Any:
        items = [
            self.image((post - 1) * PER_POST + index, post, index)
            for post in given["postIds"]
            for index in range(self.count(post - 1))
        ]
        return {"items": items, "nextCursor": None}

    def image(self, number: int, post: int, index: int) -> Any:
        image_id = 100_000_000 + number
        return {
            "id": image_id,
            "url": f"00000000-0000-4000-8000-{number:012x}",
            "nsfwLevel": 1,
            "width": 832,
            "height": 1216,
            "hash": "U9Fi#Dxu00Rj~qRjM{t70KRj-;t7",
            "type": "image",
            "metadata": {"hash": "U9Fi#Dxu", "size": 1_234_567, "width": 832, "height": 1216},
            "createdAt": "2026-01-01T00:00:00.000Z",
            "publishedAt": "2026-01-01T00:00:00.000Z",
            "mimeType": "image/png",
            "hasMeta": True,
            "onSite": False,
            "postId": post,
            "index": index,
            "user": {"id": 7, "username": NAME},
            "stats": {"likeCountAllTime": number % 50, "commentCountAllTime": 2},
            "tagIds": [5101, 5102, 5103],
            "meta": {"id": image_id, "meta": self.meta(number)},
        }

    def meta(self, number: int) -> Any:
        used = [{"type": "lora", "weight": 0.8, "modelVersionId": 1 + number % MODELS}]
        return {
            "prompt": PROMPT,
            "negativePrompt": "blurry, text",
            "seed": number,
            "steps": 28,
            "cfgScale": 7,
            "sampler": "Euler a",
            "civitaiResources": used,
        }

    def generation(self, image_id: int) -> Any:
        number = image_id - 100_000_000
        version_id = 1 + number % MODELS
        resource = {
            "modelVersionId": version_id,
            "versionName": "v1",
            "modelId": version_id,
            "modelName": "A model",
            "modelType": "LORA",
            "baseModel": "SDXL 1.0",
            "strength": 0.8,
        }
        return {"meta": self.meta(number), "resources": [resource], "canRemix": True}

    def answer(self, path: str, query: Any) -> Any:
        if not path.startswith("/api/trpc/"):
            return {"items": [], "metadata": {}}
        calls = path.removeprefix("/api/trpc/").split(",")
        given = json.loads(query["input"])
        batch = "batch" in query
        results = [
            {"result": {"data": {"json": self.answers[call](_input(given, number, batch=batch))}}}
            for number, call in enumerate(calls)
        ]
        return results if batch else results[0]


def _input(given: Any, number: int, *, batch: bool) -> Any:
    return (given[str(number)] if batch else given).get("json") or {}


async def serve(images: int, log: Path | None) -> None:
    site = LightSite(images)
    lines = log.open("w", buffering=1) if log else None

    async def handler(request: web.BaseRequest) -> web.Response:
        if lines is not None:
            lines.write(request.path_qs + "\n")
        text = json.dumps(site.answer(request.path, request.query))
        return web.Response(text=text, content_type="application/json")

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
