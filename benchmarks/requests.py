"""Requests to the site that a complete archive takes, counted by the server that answered them.

    python benchmarks/requests.py [--full]

Metadata only, from the embedded stand-in. ``mixed`` creators name models by hash in most images,
``named`` ones by version id. All but ``anon`` are signed in to the host that shows every level; a
visitor who is not sees the rest through the search index only, whose images take two calls. The
naive plan is ours with one call in each request and a list for each post: measured up to 1,000
images, reckoned from the same counts above.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

from crawls import crawl

from civitai_crawler.standin import Standin, World
from civitai_crawler.standin.prompts import meta

SIZES, FULL_SIZES = (100, 1_000, 10_000), (100, 1_000, 10_000, 100_000)
MEASURED = 1_000
GENERATION = "getGenerationData"
PLANS = (
    *(("full", "mixed"), ("full", "anon"), ("auto", "mixed"), ("auto", "named")),
    ("none", "mixed"),
)
ALLOWED = {("full", "mixed"): 0.07, ("auto", "named"): 0.02}


def world_of(images: int, kind: str) -> World:
    """Make a creator with so many images, ten in a post."""
    world = World.generate(posts=max(images // 10, 24), images=images, file_size=1_000)
    if kind == "named":
        rng = random.Random(1)
        for picture in world.pictures.values():
            if picture.maker != "none":
                picture.maker, picture.hidden = "onsite", False
                picture.meta = meta(picture, rng)
    return world


def count(world: World, asking: str, kind: str, batch: int) -> Counter[str]:
    """Count the requests of one archive by what they ask for."""
    with (
        Standin.in_thread(world, colour="red", tls=True) as standin,
        tempfile.TemporaryDirectory() as name,
    ):
        settings = {
            "CIVITAI_REQUEST_INTERVAL": "0",
            "CIVITAI_BATCH_SIZE": str(batch),
            "SSL_CERT_FILE": str(standin.ca_file),
        }
        if kind != "anon":
            settings["CIVITAI_API_KEY"] = "standin-key"
        arguments = {"username": "lumen_fox", "download": "none", "generation": asking}
        crawl(standin.site_url, standin.media_url, Path(name), settings, arguments)
        paths = [entry.path.partition("?")[0] for entry in standin.log.entries("site")]
    return Counter(path.rpartition("/")[2].split(",")[0].split(".")[-1] for path in paths)


def row(asking: str, kind: str, world: World, asked: Counter[str]) -> None:
    truth = world.truth(signed_in=True, colour="red")
    images, posts, models = (len(truth[name]) for name in ("images", "posts", "models"))
    total, making = asked.total(), asked[GENERATION]
    naive = total - making + images + posts
    if images <= MEASURED and asking == "full":
        naive = count(world, asking, kind, 1).total() + posts
    per_image = total / images
    limit = ALLOWED.get((asking, kind))
    verdict = ""
    if limit is not None and images >= 900:
        verdict = f"{'<=' if per_image <= limit else '> !'} {limit}"
    print(
        f"{images:>7}{posts:>7}{models:>7}  {asking:<5}{kind:<7}{total:>8}{making:>8}"
        f"{total / models:>10.2f}{total / posts:>10.3f}{per_image:>10.4f}"
        f"{naive:>8}{naive / total:>8.1f}  {verdict}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="also 100,000 images")
    sizes = FULL_SIZES if parser.parse_args().full else SIZES
    print("Counted by the stand-in\n")
    print(
        f"{'images':>7}{'posts':>7}{'models':>7}  {'plan':<12}{'total':>8}{'making':>8}"
        f"{'per model':>10}{'per post':>10}{'per image':>10}{'naive':>8}{'naive:':>8}"
    )
    for size in sizes:
        worlds = {kind: world_of(size, kind) for kind in ("mixed", "named")}
        worlds["anon"] = worlds["mixed"]
        for asking, kind in PLANS:
            row(asking, kind, worlds[kind], count(worlds[kind], asking, kind, 20))


if __name__ == "__main__":
    main()
