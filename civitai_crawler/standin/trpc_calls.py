"""The tRPC calls by id and by name, and the table of all calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import trpc_lists, trpc_models, trpc_people, trpc_pictures, trpc_posts
from civitai_crawler.standin.trpc_input import TrpcError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.standin.records import Picture, User
    from civitai_crawler.standin.trpc_input import Ask


def _picture(ask: Ask) -> Picture:
    picture = ask.state.world.pictures.get(ask.id())
    if picture is None or not picture.post.visible:
        raise TrpcError("NOT_FOUND", f"No image with id {ask.id()}")
    return picture


def model_get_by_id(ask: Ask) -> dict[str, Any]:
    model = ask.state.world.models.get(ask.id())
    if model is None or not model.public:
        raise TrpcError("NOT_FOUND", f"No model with id {ask.id()}")
    return trpc_models.detail(ask.state, model)


def post_get(ask: Ask) -> dict[str, Any]:
    post = ask.state.world.posts.get(ask.id())
    if post is None or not post.visible:
        raise TrpcError("NOT_FOUND", "Could not find entity")
    return trpc_posts.post_detail(post)


def image_get(ask: Ask) -> dict[str, Any]:
    return trpc_pictures.picture_detail(ask.state, _picture(ask))


def image_get_generation_data(ask: Ask) -> dict[str, Any]:
    return trpc_pictures.generation(_picture(ask))


def _user(ask: Ask) -> User:
    number = ask.number("id")
    if number is not None:
        user = ask.state.world.users.get(number)
    elif ask.text("username") is None:
        raise invalid("username", "string", "undefined")
    else:
        user = ask.owner()
    if user is None:
        raise TrpcError("NOT_FOUND", "Could not find user")
    return user


def user_get_creator(ask: Ask) -> dict[str, Any]:
    """user.getCreator; counts every published model."""
    user = _user(ask)
    models = [model for model in ask.state.world.models_of(user) if model.public]
    return {
        "id": user.id,
        "image": None,
        "username": user.name,
        "muted": False,
        "bannedAt": None,
        "deletedAt": None,
        "createdAt": trpc_people.date(user.created),
        "publicSettings": {},
        "excludeFromLeaderboards": False,
        "links": [{"url": f"https://links.example.invalid/{user.name}", "type": "Social"}],
        "stats": {
            "downloadCountAllTime": sum(model.downloads or 0 for model in models),
            "thumbsUpCountAllTime": sum(model.thumbs for model in models),
            "followerCountAllTime": 88,
            "reactionCountAllTime": 1200,
            "uploadCountAllTime": len(models),
            "generationCountAllTime": 900,
        },
        "rank": None,
        "cosmetics": [],
        "profilePicture": trpc_people.profile_picture(user),
        "creatorShopEnabled": False,
        "_count": {"models": len(models)},
    }


def user_profile_overview(ask: Ask) -> dict[str, Any]:
    """userProfile.overview: counts of what is visible at the viewer's cap."""
    user, cap = _user(ask), ask.who.cap
    posts = [post for post in ask.state.world.posts_of(user) if post.visible and post.level & cap]
    pictures = [p for post in posts for p in post.pictures if p.level & cap]
    models = [m for m in ask.state.world.models_of(user) if m.public and m.level & cap]
    others = ("article", "bounty", "bountyEntry", "collection", "comic", "model3d")
    return {
        "id": user.id,
        "modelCount": len(models),
        "postCount": len(posts),
        "imageCount": sum(picture.type == "image" for picture in pictures),
        "videoCount": sum(picture.type == "video" for picture in pictures),
        **{f"{name}Count": 0 for name in others},
        "hasReceivedReviews": bool(models),
    }


CALLS: dict[str, Callable[[Ask], Any]] = {
    "model.getAll": trpc_lists.model_get_all,
    "model.getById": model_get_by_id,
    "post.get": post_get,
    "post.getInfinite": trpc_lists.post_get_infinite,
    "image.get": image_get,
    "image.getInfinite": trpc_lists.image_get_infinite,
    "image.getGenerationData": image_get_generation_data,
    "user.getCreator": user_get_creator,
    "userProfile.overview": user_profile_overview,
}
