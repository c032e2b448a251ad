"""The OpenAPI 3.1 document, made of the routes and of the types that validate: there is no second truth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec
from msgspec import Struct

from bot.api.once import HEADER, KEPT_S, KEY_MAX
from bot.api.problems import MEDIA_TYPE, Problem
from bot.api.server import Operation, Parameter

_REF: Final = "#/components/schemas/{name}"

_UNREADABLE: Final = "The request cannot be read."
_KEYED: Final = {
    400: _UNREADABLE,
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


@dataclass(frozen=True, slots=True)
class Route:
    """One route as the document tells it."""

    method: str
    path: str
    """With `{id}` for a UUID."""
    name: str
    summary: str
    answer: type[Struct] | None
    """None: there is no body."""
    problems: Mapping[int, str]
    """What goes wrong, by status."""
    status: int = 200
    body: type[Struct] | None = None
    body_needed: bool = True
    example: Struct | None = None
    description: str = ""
    needs: str = ""
    """The security scheme; empty: open to everybody."""
    parameters: tuple[Mapping[str, Any], ...] = ()


def route_of(operation: Operation) -> Route:
    """An operation of firms' own systems."""
    return Route(
        operation.method,
        operation.path,
        operation.name,
        operation.summary,
        operation.answer,
        {
            **_KEYED,
            **(_WITH_ID if "{id}" in operation.path else {}),
            **(_WITH_BODY if operation.body is not None else {}),
        },
        status=operation.status,
        body=operation.body,
        example=operation.example,
        description=f"Needs the scope `{operation.scope}`.",
        needs="key",
        parameters=(*([_ONCE] if operation.once else []), *map(_number, operation.parameters)),
    )


def document(routes: Sequence[Route]) -> bytes:
    """The document as JSON."""
    kinds = dict.fromkeys(
        kind for route in routes for kind in (route.body, route.answer) if kind is not None
    )
    _, schemas = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "SmarterBot",
                "version": version("smarterbot"),
                "description": (
                    "Messages to people on WhatsApp, by intent: whether free text or an approved template is sent is "
                    "decided when its turn comes. Keys are made with `smarterbot key create`. And login by WhatsApp, for "
                    "applications of people: it gives access tokens, which anybody can check (`/.well-known/jwks.json`)."
                ),
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "bearerFormat": "sbk_…"},
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                },
            },
        }
    )


def _operation(route: Route) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [{route.needs: []}] if route.needs else [],
        "parameters": [*([_ID] if "{id}" in route.path else []), *route.parameters],
        "responses": {str(status): answer for status, answer in _answers(route)},
    }
    if route.description:
        told["description"] = route.description
    if route.body is not None:
        content: dict[str, Any] = {"schema": _ref(route.body)}
        if route.example is not None:
            content["example"] = msgspec.to_builtins(route.example)
        told["requestBody"] = {
            "required": route.body_needed,
            "content": {"application/json": content},
        }
    return told


_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_ONCE: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": (
        f"Names this request for {KEPT_S // 3600} hours: the same key with the same body is answered the same "
        "and done once; with another body it is refused (422)."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
}


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


def _answers(route: Route) -> Iterator[tuple[int, dict[str, Any]]]:
    done: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        done["content"] = {"application/json": {"schema": _ref(route.answer)}}
    yield route.status, done
    for status, what in sorted(route.problems.items()):
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
