"""What is wrong with a request, as `application/problem+json` (RFC 9457)."""

import re
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

MEDIA_TYPE: Final = "application/problem+json"

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_PART: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_NAMED: Final = re.compile(r"(?:missing required|contains unknown) field `(.*)`$", re.DOTALL)


class FieldProblem(Struct, frozen=True, omit_defaults=True):
    """One place in the request, and why it does not do. One of the first three names it."""

    detail: str
    pointer: Annotated[
        str, Meta(description="JSON Pointer (RFC 6901) into the body.", examples=["/to/phone"])
    ] = ""
    header: str = ""
    parameter: Annotated[str, Meta(description="Of the path or the query.")] = ""


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457."""

    type: Annotated[str, Meta(examples=["urn:smarterbot:problem:invalid"])]
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()


class ApiError(Exception):
    """The request is answered with this problem; nothing of it was done."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *errors: FieldProblem,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`kind`: what programs tell problems of one status apart by."""
        super().__init__(kind)
        self.headers = headers or {}
        self.problem = Problem(
            type=f"urn:smarterbot:problem:{kind}",
            title=status.phrase,
            status=status,
            detail=detail,
            errors=errors,
        )


def invalid(*errors: FieldProblem) -> ApiError:
    """The body can be read and its values do not do."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "Some values do not do.", *errors)


def unreadable(error: msgspec.DecodeError) -> ApiError:
    """Why msgspec refuses a body."""
    if not isinstance(error, msgspec.ValidationError):
        return ApiError(HTTPStatus.BAD_REQUEST, "json", f"The body is not JSON: {error}")
    return invalid(_field(str(error)))


def _field(message: str) -> FieldProblem:
    """`Expected `str`, got `int` - at `$.to.phone`` as a pointer and a reason."""
    found = _AT.match(message)
    assert found is not None, "the pattern matches anything"
    what, path = found["what"], found["path"] or "$"
    parts = [name or place for name, place in _PART.findall(path)]
    if named := _NAMED.search(what):
        parts.append(named[1])
    pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)
    return FieldProblem(detail=what, pointer=pointer)
