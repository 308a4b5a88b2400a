"""Finding and running the recorded cases; see README.md beside this file."""

from __future__ import annotations

import json
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from civitai_crawler.api import parsers, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError, CivitaiError

HERE = Path(__file__).parent


def folders() -> list[Path]:
    """Cases of the parsers, named after the call: ``rest_...`` and ``trpc_...``."""
    found = [*HERE.glob("rest_*/expected.json"), *HERE.glob("trpc_*/expected.json")]
    return sorted(path.parent for path in found)


def expected(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "expected.json").read_text("utf-8"))
    return loaded


def answer(path: Path) -> Any:
    """Decode a body as a spider would: through ``decode`` and, for tRPC, out of its envelope."""
    payload = parsers.decode(path.read_bytes(), "application/json")
    return trpc.result(payload) if isinstance(payload, dict) and "result" in payload else payload


def outcome(folder: Path) -> Any:
    """Run the case's parser; the result, or the error, as JSON can hold it."""
    case = expected(folder)
    arguments = dict(case["arguments"])
    parser = getattr(parsers, case["parser"])
    if (folder / "overview.json").exists():
        arguments["overview"] = answer(folder / "overview.json")
    try:
        if case["parser"] == "rest_error":
            return plain(parser(payload=answer(folder / "body.json"), **arguments))
        return plain(parser(answer(folder / "body.json"), **arguments))
    except CivitaiError as error:
        return {"raised": plain(error)}


def plain(value: Any) -> Any:
    """Items, pages and errors as JSON; what no feed can hold (NaN, half a character) fails here."""
    text = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False)
    return json.loads(text.encode())


def _plain(value: Any) -> Any:
    if isinstance(value, BadRecordError):
        return {"kind": value.kind, "record_id": value.record_id, "why": value.why}
    if isinstance(value, ApiError):
        return {"status": value.status, "code": value.code, "message": value.message}
    if isinstance(value, CivitaiError):
        return {"error": type(value).__name__, "message": str(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(type(value).__name__)


def record(folder: Path) -> None:
    case = {**expected(folder), "result": outcome(folder)}
    text = json.dumps(case, indent=2, ensure_ascii=False) + "\n"
    (folder / "expected.json").write_text(text, "utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(HERE / name)
