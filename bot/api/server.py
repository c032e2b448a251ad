"""The API's web routes: who asks, may they, what do they ask, and the answer or the problem.

Every route is one `Operation`; the OpenAPI document is made of the same ones.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from aiohttp import hdrs, web
from msgspec import Struct

from bot.api.once import HEADER, KEY_MAX
from bot.api.problems import MEDIA_TYPE, ApiError, FieldProblem, Problem, unreadable
from bot.clock import Clock
from bot.engine.limits import Limits
from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.people.api_keys import ApiKey, Scope, proves, read_key
from bot.people.directory import Directory
from bot.people.errors import DirectoryError
from bot.store.errors import UNAVAILABLE, StoreError
from flows.values.ids import TenantId

BODY_MAX: Final = 64 * 1024
BODY_WAIT_S: Final = 30.0
RETRY_S: Final = "5"
BURST_S: Final = 10
"""A key may make the requests of so many seconds at once."""

log = structlog.get_logger()

_json: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the query."""

    name: str
    what: str
    least: int
    most: int
    default: int


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be made, read and judged."""

    tenant: TenantId
    path: str
    body: Any
    """Of the operation's type; None if it takes none."""
    id: UUID | None
    """Of the path."""
    numbers: dict[str, int]
    """Of the query, by name."""
    once: str
    """The idempotency key; empty where none is needed."""


@dataclass(frozen=True, slots=True)
class Answer:
    body: Struct
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    method: str
    path: str
    """With `{id}` for a UUID."""
    name: str
    summary: str
    scope: Scope
    handle: Callable[[Call], Awaitable[Answer]]
    answer: type[Struct]
    status: int = 200
    body: type[Struct] | None = None
    body_max: int = BODY_MAX
    example: Struct | None = None
    once: bool = False
    """Whether it needs an idempotency key."""
    parameters: tuple[Parameter, ...] = ()


class ApiRoutes:
    """Serves operations."""

    def __init__(
        self,
        operations: Sequence[Operation],
        *,
        directory: Directory,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
        document: bytes,
    ) -> None:
        """`document`: what `/openapi.json` answers."""
        self._operations = operations
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._document = document

    def routes(self) -> list[web.RouteDef]:
        paths = dict.fromkeys(operation.path for operation in self._operations)
        routes = [web.route("GET", "/openapi.json", self._show)]
        for path in paths:
            known = [operation for operation in self._operations if operation.path == path]
            routes += [web.route(o.method, path, self._served(o)) for o in known]
            routes.append(web.route("*", path, _refusing(", ".join(o.method for o in known))))
        return [*routes, web.route("*", "/v1/{rest:.*}", _nothing)]

    async def _show(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    def _served(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            try:
                answer = await self._answer(operation, request)
            except ApiError as error:
                self._metrics.count("api", f"{operation.name}.{error.problem.status}")
                return _problem(error)
            except (StoreLostError, LaneError, DirectoryError, *UNAVAILABLE) as error:
                self._metrics.count("api", f"{operation.name}.503")
                log.warning("api.unavailable", operation=operation.name, error=type(error).__name__)
                return _problem(_unavailable())
            except StoreError as error:
                log.error("api.refused_by_store", error=type(error).__name__)
                return _problem(_unavailable())
            self._metrics.count("api", f"{operation.name}.{answer.status}")
            return web.Response(
                body=_json(answer.body),
                status=answer.status,
                headers=answer.headers,
                content_type="application/json",
            )

        return serve

    async def _answer(self, operation: Operation, request: web.Request) -> Answer:
        key = await self._key(request)
        if operation.scope not in key.scopes:
            raise ApiError(
                HTTPStatus.FORBIDDEN, "scope", f"This key lacks the scope {operation.scope}."
            )
        await self._within_limit(key)
        call = Call(
            tenant=key.tenant,
            path=request.path,
            body=await _body(operation, request),
            id=_id(request),
            numbers=_numbers(operation, request),
            once=_once(request) if operation.once else "",
        )
        return await operation.handle(call)

    async def _key(self, request: web.Request) -> ApiKey:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        shown = read_key(token.strip()) if scheme.lower() == "bearer" else None
        if shown is None:
            raise _stranger()
        id, secret = shown
        key = await self._directory.key(id)
        if not proves(secret, key) or key is None:
            raise _stranger()
        if key.expires and self._clock.now_ms() >= key.expires:
            raise _stranger()
        return key

    async def _within_limit(self, key: ApiKey) -> None:
        per_s = key.per_minute / 60
        wait_ms = await self._limits.take_spare(
            f"key:{key.id}", per_s=per_s, burst=max(1, math.floor(per_s * BURST_S)), reserve=0
        )
        if wait_ms:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many",
                f"This key may make {key.per_minute} requests a minute.",
                headers={hdrs.RETRY_AFTER: str(math.ceil(wait_ms / 1000))},
            )


# ---------------------------------------------------------------- the request


async def _body(operation: Operation, request: web.Request) -> Struct | None:
    if operation.body is None:
        return None
    if request.content_type != "application/json":
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            "The body has to be application/json.",
            FieldProblem("application/json is expected.", header=hdrs.CONTENT_TYPE),
        )
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            body = await _read(request, operation.body_max)
    except TimeoutError as error:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT, "slow", f"The body did not come within {BODY_WAIT_S:.0f} s."
        ) from error
    try:
        return msgspec.json.decode(body, type=operation.body)
    except msgspec.DecodeError as error:
        raise unreadable(error) from error
    except RecursionError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "json", "The body is nested too deep.") from error


async def _read(request: web.Request, most: int) -> bytes:
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > most:
            raise ApiError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"The body may have {most} bytes."
            )
    return bytes(body)


def _id(request: web.Request) -> UUID | None:
    text = request.match_info.get("id")
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found() from error


def _numbers(operation: Operation, request: web.Request) -> dict[str, int]:
    numbers = {}
    known = {parameter.name for parameter in operation.parameters}
    if unknown := sorted(set(request.query) - known):
        raise _bad_query(unknown[0], "There is no such parameter.")
    for parameter in operation.parameters:
        text = request.query.get(parameter.name, str(parameter.default))
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1
        if not parameter.least <= number <= parameter.most:
            raise _bad_query(
                parameter.name, f"A number from {parameter.least} to {parameter.most} is expected."
            )
        numbers[parameter.name] = number
    return numbers


def _once(request: web.Request) -> str:
    key = request.headers.get(HEADER, "")
    if not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "idempotency_key",
            "Say by which key this request is known when you repeat it.",
            FieldProblem(f"1 to {KEY_MAX} printable ASCII characters are expected.", header=HEADER),
        )
    return key


# ---------------------------------------------------------------- problems


def not_found() -> ApiError:
    """There is none, or it is somebody else's: nobody can tell the two apart."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "not_found",
        "You have nothing with this id.",
        FieldProblem("Unknown.", parameter="id"),
    )


def _stranger() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "key",
        "Show a valid key: Authorization: Bearer sbk_…",
        headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
    )


def _unavailable() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "A store is away. Repeat it with the same Idempotency-Key: nothing is done twice.",
        headers={hdrs.RETRY_AFTER: RETRY_S},
    )


def _bad_query(name: str, what: str) -> ApiError:
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        "query",
        "A parameter does not do.",
        FieldProblem(what, parameter=name),
    )


def _problem(error: ApiError) -> web.Response:
    problem: Problem = error.problem
    return web.Response(
        body=_json(problem),
        status=problem.status,
        headers=error.headers,
        content_type=MEDIA_TYPE,
    )


def _refusing(allowed: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def refuse(_request: web.Request) -> web.Response:
        return _problem(
            ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method",
                f"This path takes {allowed}.",
                headers={hdrs.ALLOW: allowed},
            )
        )

    return refuse


async def _nothing(_request: web.Request) -> web.Response:
    return _problem(
        ApiError(HTTPStatus.NOT_FOUND, "path", "There is no such path; see /openapi.json.")
    )
