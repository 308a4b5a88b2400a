"""Everything that can go wrong, by name.

Each class says who raises it and when; its text is one sentence that a user can act on. Texts never
hold a cookie, a key or a signed URL.
"""

from __future__ import annotations


class CivitaiError(Exception):
    """The base of every error of this project; never raised itself."""


class UsageError(CivitaiError):
    """An argument or a setting cannot be used.

    Raised by ``api.links`` for pasted ids and links, by the spiders for arguments and by the
    readers of settings, before the first request.
    """


class AnswerError(CivitaiError):
    """The server's answer is not the answer that was asked for. Base of the four below."""


class ApiError(AnswerError):
    """The API said no in its own words.

    Raised by ``api.trpc`` for error envelopes and by ``api.parsers`` for REST error bodies.
    """

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        #: HTTP status that belongs to the error (inside a batch: of this one call).
        self.status = status
        #: The machine-readable code (``NOT_FOUND``, ``REGION_BLOCKED``), empty when there is none.
        self.code = code


class NotJsonError(AnswerError):
    """HTML, nothing or broken JSON arrived where JSON was due. Raised by ``api.parsers.decode``."""


class UnexpectedShapeError(AnswerError):
    """JSON arrived, but not in a shape we know. Raised by ``api.trpc`` and ``api.parsers``."""


class BadRecordError(CivitaiError):
    """One record of a page is broken; the page and its cursor stay good.

    Made by ``api.parsers`` (it is collected in ``Page.broken``, not raised across a page).
    """

    def __init__(self, kind: str, record_id: int | None, why: str) -> None:
        super().__init__(f"{kind} {'without id' if record_id is None else record_id}: {why}")
        #: Name of the item class that the record should have become.
        self.kind = kind
        #: The record's id where it could be read.
        self.record_id = record_id
        #: What is wrong with it, with the path of the value.
        self.why = why


class UnfinishedError(CivitaiError):
    """An item could not be finished in this run and is left to the next; the crawl is ending.

    Raised by the media pipelines when the disk is full or not writable, and when the crawl stops
    during a download. Nothing is recorded, so that the item comes again.
    """


class GaveUpError(CivitaiError):
    """A request finally failed and will not be tried again in this run.

    Raised by ``BackoffMiddleware`` once the verdict is in; spiders' errbacks and the media
    pipelines make the Failure of it.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        status: int | None = None,
        retry_at: str | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        #: As in ``Failure.reason``.
        self.reason = reason
        #: One sentence for a person, without secrets.
        self.message = message
        #: HTTP status, where there was an answer.
        self.status = status
        #: Earliest useful next try, ISO 8601.
        self.retry_at = retry_at
        #: Asking again can never help.
        self.final = final
