"""The OpenAPI 3.1 document, made of the operations and of the types that validate: there is no second truth."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from bot.api.once import HEADER, KEPT_S, KEY_MAX
from bot.api.problems import MEDIA_TYPE, Problem
from bot.api.server import Operation, Parameter

_REF: Final = "#/components/schemas/{name}"

_ALWAYS: Final = {
    400: "The request cannot be read.",
    401: "No valid key was shown.",
    403: "The key lacks the scope.",
    429: "Too many requests: wait as long as Retry-After says.",
    503: "A store is away. Repeat it as Retry-After says, with the same Idempotency-Key.",
}
_WITH_ID: Final = {404: "You have nothing with this id."}
_WITH_BODY: Final = {
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Values do not do, or the Idempotency-Key was used for something else.",
}


def document(operations: Sequence[Operation]) -> bytes:
    """The document as JSON."""
    kinds = dict.fromkeys(
        kind
        for operation in operations
        for kind in (operation.body, operation.answer)
        if kind is not None
    )
    _, schemas = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "SmarterBot",
                "version": version("smarterbot"),
                "description": (
                    "Messages to people on WhatsApp, by intent: whether free text or an approved template is sent is "
                    "decided when its turn comes. Keys are made with `smarterbot key create`."
                ),
            },
            "servers": [{"url": "/"}],
            "security": [{"key": []}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "bearerFormat": "sbk_…"}
                },
            },
        }
    )


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": [*_parameters(operation)],
        "responses": {str(status): answer for status, answer in _answers(operation)},
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _ref(operation.body)}
        if operation.example is not None:
            content["example"] = msgspec.to_builtins(operation.example)
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in operation.path:
        yield {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
    if operation.once:
        yield {
            "name": HEADER,
            "in": "header",
            "required": True,
            "description": (
                f"Names this request for {KEPT_S // 3600} hours: the same key with the same body is answered the same "
                "and done once; with another body it is refused (422)."
            ),
            "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
        }
    yield from map(_number, operation.parameters)


def _number(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.what,
        "schema": {
            "type": "integer",
            "minimum": parameter.least,
            "maximum": parameter.most,
            "default": parameter.default,
        },
    }


def _answers(operation: Operation) -> Iterator[tuple[int, dict[str, Any]]]:
    yield (
        operation.status,
        {
            "description": HTTPStatus(operation.status).phrase,
            "content": {"application/json": {"schema": _ref(operation.answer)}},
        },
    )
    problems = {
        **_ALWAYS,
        **(_WITH_ID if "{id}" in operation.path else {}),
        **(_WITH_BODY if operation.body is not None else {}),
    }
    for status, what in sorted(problems.items()):
        answer: dict[str, Any] = {
            "description": what,
            "content": {MEDIA_TYPE: {"schema": _ref(Problem)}},
        }
        if status in (429, 503):
            answer["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
        yield status, answer


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}
