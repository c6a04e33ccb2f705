"""Running one operation and making its result or error an answer; the same in both halves."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping

from quorate.api.protocol import IMAGE_FORMAT, Answer, failure, plain, success
from quorate.api.results import Download, Image, Page
from quorate.schema import ApiError, Context, Operation

_log = logging.getLogger(__name__)

_PROGRAMMING_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Faults of ours: the caller learns that there is one, the log where."""


def run_operation(
    operation: Operation, context: Context, parameters: Mapping[str, object], *, words: bool = False
) -> object:
    """The handler's result. Every failure comes out as `ApiError`. ``words``: see quorate.schema.Boolean."""
    try:
        return operation.call(context, parameters, words=words)
    except ApiError:
        raise
    except _PROGRAMMING_ERRORS as err:
        _log.exception("%s %s failed", operation.method, operation.path)
        text = f"internal error in {operation.method} {operation.path} ({type(err).__name__}), see the log"
        raise ApiError(500, text) from err
    except OSError as err:
        name = f" '{err.filename}'" if err.filename else ""
        raise ApiError(500, f"{operation.name} failed:{name} {err.strerror or err}") from err
    except Exception as err:  # every room has its own errors; their text is for the caller
        raise ApiError(500, str(err) or type(err).__name__) from err


def pack_result(result: object) -> dict[str, object]:
    """A result as the message between processes."""
    if isinstance(result, Page):
        return {"data": plain(result.data), "total": result.total, "changes": result.changes}
    if isinstance(result, Download):
        return {"text": result.text}
    if isinstance(result, Image):
        return {"data": plain(result), "image": base64.b64encode(result.content).decode("ascii")}
    return {"data": plain(result)}


def pack_error(error: ApiError) -> dict[str, object]:
    return {"status": error.status, "message": error.message, "errors": error.errors}


def answer_of(message: Mapping[str, object], form: str) -> Answer:
    """The answer for a packed result or error."""
    if "status" in message:
        status, errors = message["status"], message.get("errors")
        return failure(
            ApiError(
                status if isinstance(status, int) else 500,
                str(message["message"]),
                {str(k): str(v) for k, v in errors.items()} if isinstance(errors, dict) else None,
            ),
            form,
        )
    if "text" in message:
        return success(Download(str(message["text"])), form)
    if form == IMAGE_FORMAT and "image" in message:
        return Answer(200, "OK", base64.b64decode(str(message["image"])), "image/png")
    total = message.get("total")
    if not isinstance(total, int):
        return success(message["data"], form)
    return success(Page(message["data"], total, str(message.get("changes", ""))), form)
