"""The tRPC transport: calls to addresses, envelopes to data.

A server answers either in superjson (``{"json": ..., "meta": ...}``) or in devalue (a text), and
may change from one answer to the next; each envelope is therefore judged by itself. What superjson
notes in ``meta`` is not needed: dates are ISO text in ``json`` anyway and undefined is null.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from civitai_crawler.api import devalue
from civitai_crawler.exceptions import ApiError, UnexpectedShapeError

#: HTTP status of an error whose envelope names only the code.
_STATUS = {
    "BAD_REQUEST": 400,
    "PARSE_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_SUPPORTED": 405,
    "TIMEOUT": 408,
    "CONFLICT": 409,
    "PRECONDITION_FAILED": 412,
    "TOO_MANY_REQUESTS": 429,
    "REGION_BLOCKED": 451,
    "INTERNAL_SERVER_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One procedure with its input. ``None`` in the input means "undefined", never null."""

    procedure: str
    input: dict[str, Any]


def url(*calls: Call, markers: bool = False) -> str:
    """Make path and query of one call, or of several in one request (a batch).

    Undefined values are left out; with ``markers`` they are sent as the browser does: null, and
    named in ``meta.values``. Both get the same answer. A batch is answered by a list (``results``).
    """
    if not calls:
        raise ValueError("a tRPC address needs at least one call")
    envelopes = [_envelope(call.input, markers=markers) for call in calls]
    path = "/api/trpc/" + ",".join(quote(call.procedure, safe="") for call in calls)
    if len(calls) == 1:
        return f"{path}?input={_encoded(envelopes[0])}"
    numbered = {str(number): envelope for number, envelope in enumerate(envelopes)}
    return f"{path}?batch=1&input={_encoded(numbered)}"


def result(payload: Any) -> Any:
    """Unpack one envelope (decoded JSON) in either encoding; the data may be any JSON value.

    Raises ``ApiError`` for an error envelope and ``UnexpectedShapeError`` for anything else that is
    no envelope.
    """
    if not isinstance(payload, dict):
        raise UnexpectedShapeError(f"a tRPC envelope is an object, not {_kind(payload)}")
    if payload.get("error") is not None:
        raise _error(payload)
    body = payload.get("result")
    if not isinstance(body, dict) or "data" not in body:
        raise UnexpectedShapeError("a tRPC envelope without result.data and without error")
    return _data(body["data"])


def results(payload: Any, count: int) -> list[Any | ApiError]:
    """Unpack the answer to ``count`` calls sent together, in their order.

    The error of one call stands in its place, and so does one of status 0 for data that cannot be
    decoded. A lone envelope is the answer to a single call; for a
    batch it is the refusal of all of them and raised as ``ApiError``. Raises
    ``UnexpectedShapeError`` when the number of envelopes is another, or one of them is none.
    """
    if isinstance(payload, list):
        envelopes = payload
    elif count == 1:
        envelopes = [payload]
    else:
        result(payload)
        raise UnexpectedShapeError(f"one tRPC envelope in answer to a batch of {count} calls")
    if len(envelopes) != count:
        raise UnexpectedShapeError(f"{len(envelopes)} tRPC envelopes in answer to {count} calls")
    return [_result_or_error(envelope) for envelope in envelopes]


def _result_or_error(envelope: Any) -> Any | ApiError:
    try:
        return result(envelope)
    except ApiError as error:
        return error
    except UnexpectedShapeError as error:
        body = envelope.get("result") if isinstance(envelope, dict) else None
        if not (isinstance(body, dict) and "data" in body):
            raise
        return ApiError(str(error), status=0)


def _envelope(values: dict[str, Any], *, markers: bool) -> dict[str, Any]:
    undefined = [key for key, value in values.items() if value is None]
    if markers and undefined:
        return {"json": values, "meta": {"values": {key: ["undefined"] for key in undefined}}}
    return {"json": {key: value for key, value in values.items() if value is not None}}


def _encoded(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return quote(text, safe="")


def _data(data: Any) -> Any:
    """Decode ``result.data``: devalue text, superjson, or (very old) the thing itself."""
    if isinstance(data, str):
        return devalue.unflatten(data)
    if isinstance(data, dict) and ("json" in data or data.keys() == {"meta"}):
        return data.get("json")  # an undefined payload has only its meta
    return data


def _error(payload: dict[str, Any]) -> ApiError:
    """Read an error envelope in either encoding, or a plain ``{error, code}``.

    The plain form comes from in front of the procedures (region block). Status 0: not told.
    """
    error = payload["error"]
    if isinstance(error, str):
        try:
            error = devalue.unflatten(error)
        except UnexpectedShapeError:
            error = {"message": error, "data": {"code": payload.get("code")}}
    elif isinstance(error, dict) and isinstance(error.get("json"), dict):
        error = error["json"]
    if not isinstance(error, dict):
        raise UnexpectedShapeError(f"the error of a tRPC envelope is an object, not {_kind(error)}")
    data = error.get("data")
    details = data if isinstance(data, dict) else {}
    code = details["code"] if isinstance(details.get("code"), str) else ""
    status = details.get("httpStatus")
    if not isinstance(status, int):
        status = _STATUS.get(code, 0)
    return ApiError(_sentence(error.get("message"), code), status=status, code=code)


def _sentence(message: Any, code: str) -> str:
    """Put the server's message in one line; input issues (JSON text) become ``path: why``."""
    if not isinstance(message, str) or not message.strip():
        return code or "the server gave no reason"
    try:
        issues = json.loads(message)
    except (ValueError, RecursionError):
        issues = None
    if isinstance(issues, list):
        texts = [
            _issue(issue) for issue in issues if isinstance(issue, dict) and "message" in issue
        ]
        message = "; ".join(texts) or message
    return " ".join(message.split())


def _issue(issue: dict[str, Any]) -> str:
    path = issue.get("path")
    where = ".".join(str(step) for step in path) if isinstance(path, list) else ""
    return f"{where}: {issue['message']}" if where else str(issue["message"])


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
