"""The web routes of login: codes, sessions, tokens, and what others need to check our tokens.

Wrong, over and used are one answer to the outside, whatever it is about. What goes wrong is answered as RFC 9457 says.
"""

import ipaddress
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog
from aiohttp import hdrs, web
from msgspec import UNSET, Meta, Struct

from bot.api.problems import MEDIA_TYPE, ApiError, FieldProblem, invalid, unreadable
from bot.clock import Clock
from bot.engine.limits import Limits
from bot.identity import people
from bot.identity.errors import DisabledError, NoSigningKeyError, SessionError, TokenError
from bot.identity.keys import ACCESS_S, CACHE_S, SigningKeys
from bot.identity.moments import moment
from bot.identity.otp import LIFE_S, Capped, Codes, Proved, Purpose, TooSoon
from bot.identity.secrets import Macs
from bot.identity.sessions import Opened, Sessions, list_sessions
from bot.identity.tokens import ALGORITHM, Claims, Tokens
from bot.identity.values import (
    Address,
    CodeSent,
    Discovery,
    Jwks,
    LoggedIn,
    Me,
    OpenSessions,
    Place,
    SessionInfo,
)
from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.people.directory import Directory
from bot.people.errors import DirectoryError
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.values.ids import TenantId, Ugid
from flows.values.phone import WaId, is_of_country, parse_phone

METHOD: Final = "otp"
"""How a code is called in `amr` (Supabase's word)."""
BODY_MAX: Final = 4_096
RETRY_S: Final = "5"
V6_PREFIX: Final = 64

log = structlog.get_logger()

_json: Final = msgspec.json.Encoder().encode
_Body = TypeVar("_Body", bound=Struct)


class AskCode(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/otp`."""

    phone: Annotated[str, Meta(min_length=1, max_length=40)]
    purpose: Purpose = "login"
    locale: Annotated[
        str, Meta(max_length=10, pattern="^([A-Za-z]{2,3}([_-][A-Za-z]{2,4})?)?$")
    ] = ""
    tenant: UUID | None = None


class GiveCode(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/otp/verify`."""

    challenge_id: Annotated[str, Meta(min_length=1, max_length=100)]
    code: Annotated[str, Meta(max_length=6, pattern="^[0-9]{6}$")]


class GiveRefresh(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/refresh`."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=300)]


class Leave(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/logout`, if there is one."""

    everywhere: bool = False


class Switch(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/tenant`."""

    tenant: UUID | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask for codes."""

    countries: tuple[str, ...]
    per_ip_hour: int
    trusted_proxies: int
    origins: tuple[str, ...]
    """Web applications on other addresses whose pages may ask."""


class IdentityRoutes:
    """Everything below `/auth` and `/.well-known`."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        codes: Codes,
        sessions: Sessions,
        tokens: Tokens,
        keys: SigningKeys,
        limits: Limits,
        addresses: Macs,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`addresses`: of the buckets of clients' addresses."""
        self._database = database
        self._directory = directory
        self._codes = codes
        self._sessions = sessions
        self._tokens = tokens
        self._keys = keys
        self._limits = limits
        self._addresses = addresses
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        known = {
            ("POST", "/auth/otp"): self.ask_code,
            ("POST", "/auth/otp/verify"): self.give_code,
            ("POST", "/auth/refresh"): self.refresh,
            ("POST", "/auth/logout"): self.logout,
            ("POST", "/auth/tenant"): self.switch,
            ("GET", "/auth/me"): self.me,
            ("GET", "/auth/sessions"): self.list_sessions,
            ("DELETE", "/auth/sessions/{id}"): self.end_session,
            ("GET", "/.well-known/jwks.json"): self.jwks,
            ("GET", "/.well-known/openid-configuration"): self.discovery,
        }
        return self.table(known)

    def table(
        self,
        known: Mapping[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]],
    ) -> list[web.RouteDef]:
        """Routes by method and path, that answer what else is asked there too."""
        methods: dict[str, list[str]] = {}
        for method, path in known:
            methods.setdefault(path, []).append(method)
        return [
            *(web.route("OPTIONS", path, self.served(path, _allow)) for path in methods),
            *(web.route(m, path, self.served(path, do)) for (m, path), do in known.items()),
            *(web.route("*", path, self.served(path, _refusing(m))) for path, m in methods.items()),
        ]

    # -------------------------------------------------------------- codes

    async def ask_code(self, request: web.Request) -> web.Response:
        asked = await read_body(request, AskCode)
        phone, tenant = self._checked(asked)
        person = ""
        if asked.purpose == "link":
            person = (await self._open_session(request)).ugid
        if self._codes.channel() is None:
            log.error("identity.no_platform_number")
            raise unavailable()
        await self.within_limit(request, "otp")
        sent = await self._codes.send(
            phone, asked.purpose, tenant=tenant, locale=asked.locale, person=person
        )
        match sent:
            case TooSoon(wait_s=wait_s):
                raise too_many("This number was sent a code a moment ago, or too many.", wait_s)
            case Capped(wait_s=wait_s):
                raise too_many("No codes can be sent now.", wait_s)
            case challenge:
                sent_now = CodeSent(challenge.id, LIFE_S, challenge.resend_s)
                return answer_json(sent_now, HTTPStatus.ACCEPTED)

    async def give_code(self, request: web.Request) -> web.Response:
        given = await read_body(request, GiveCode)
        # Before the code is used up: without a key there would be nothing to give for it.
        self._keys.current()
        proved = await self._codes.prove(given.challenge_id, given.code)
        if proved is None:
            raise _wrong_code()
        now = moment(self._clock)
        try:
            async with self._database.system() as connection:
                if proved.purpose == "link":
                    ugid = await self._link(connection, request, proved)
                else:
                    ugid = await people.enter(
                        connection,
                        "phone",
                        "",
                        proved.phone,
                        at=now,
                        method="whatsapp_code",
                        locale=proved.locale,
                    )
                if proved.tenant is not None:
                    await people.join(connection, ugid, proved.tenant, now)
                opened = await self._sessions.begin(
                    connection,
                    ugid,
                    at=now,
                    method=METHOD,
                    agent=agent_of(request),
                    tenant=proved.tenant,
                )
        except DisabledError as error:
            raise _wrong_code() from error
        self._metrics.count("login", "code")
        return self.opened_answer(opened)

    async def _link(self, connection: Connection, request: web.Request, proved: Proved) -> Ugid:
        """The phone is given to who asked for it, if they are who types it in; all other sessions of theirs end."""
        claims = self._claims(request)
        now = moment(self._clock)
        if claims.ugid != proved.person or not await self._sessions.is_open(
            connection, claims.ugid, claims.session, at=now
        ):
            raise _wrong_code()
        await people.link(connection, claims.ugid, "phone", "", proved.phone, now)
        await people.end_sessions(connection, claims.ugid, people.CHANGED, now)
        return claims.ugid

    # -------------------------------------------------------------- sessions

    async def refresh(self, request: web.Request) -> web.Response:
        given = await read_body(request, GiveRefresh)
        self._keys.current()
        try:
            shown = self._sessions.read(given.refresh_token)
            async with self._database.system() as connection:
                opened = await self._sessions.refresh(connection, shown, at=moment(self._clock))
        except (SessionError, DisabledError) as error:
            self._metrics.count("refresh", str(error))
            raise _no_session() from error
        if opened is None:
            self._metrics.count("refresh", "reuse")
            raise _no_session()
        self._metrics.count("refresh", "done")
        return self.opened_answer(opened)

    async def logout(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        leave = await read_body(request, Leave) if request.can_read_body else Leave()
        now = moment(self._clock)
        async with self._database.system() as connection:
            if leave.everywhere:
                if not await self._sessions.is_open(
                    connection, claims.ugid, claims.session, at=now
                ):
                    raise _unknown_caller()
                await people.end_sessions(connection, claims.ugid, "logout", now)
            else:
                await self._sessions.end(
                    connection, claims.ugid, claims.session, why="logout", at=now
                )
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)

    async def switch(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        asked = await read_body(request, Switch)
        tenant = None if asked.tenant is None else TenantId(str(asked.tenant))
        self._keys.current()
        try:
            async with self._database.system() as connection:
                opened = await self._sessions.switch(
                    connection, claims.ugid, claims.session, tenant, at=moment(self._clock)
                )
        except SessionError as error:
            if str(error) == "over":
                raise _unknown_caller() from error
            raise ApiError(
                HTTPStatus.FORBIDDEN, "no_member", "You do not belong to this firm."
            ) from error
        return self.opened_answer(opened)

    async def me(self, request: web.Request) -> web.Response:
        claims = await self._open_session(request)
        async with self._database.system() as connection:
            person = await people.get_person(connection, claims.ugid)
        if person is None:
            raise _unknown_caller()
        return answer_json(
            Me(
                ugid=person.ugid,
                session=claims.session,
                tenant=claims.tenant,
                role=claims.role,
                identities=[
                    Address(each.kind, each.value, each.verified_at)
                    for each in person.identities
                    # A BSUID means nothing outside the portfolio that it is of.
                    if each.valid_to is None
                    and each.verified_at
                    and (each.kind == "phone" or each.kind == "email")
                ],
                tenants=[
                    Place(place.tenant, firm.name, place.role)
                    for place in person.memberships
                    if (firm := self._directory.firm(place.tenant)) is not None
                ],
            )
        )

    async def list_sessions(self, request: web.Request) -> web.Response:
        claims = await self._open_session(request)
        async with self._database.system() as connection:
            sessions = await list_sessions(connection, claims.ugid, at=moment(self._clock))
        return answer_json(
            OpenSessions(
                [
                    SessionInfo(
                        id=each.id,
                        agent=each.agent,
                        method=each.method,
                        created_at=each.created_at,
                        refreshed_at=each.refreshed_at,
                        expires_at=each.expires_at,
                        tenant=each.tenant,
                        current=each.id == claims.session,
                    )
                    for each in sessions
                ]
            )
        )

    async def end_session(self, request: web.Request) -> web.Response:
        claims = await self._open_session(request)
        try:
            session = str(UUID(request.match_info["id"]))
        except ValueError as error:
            raise _no_such_session() from error
        async with self._database.system() as connection:
            done = await self._sessions.end(
                connection, claims.ugid, session, why="logout", at=moment(self._clock)
            )
        if not done:
            raise _no_such_session()
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)

    # -------------------------------------------------------------- for those who check our tokens

    async def jwks(self, _request: web.Request) -> web.Response:
        self._keys.current()
        return _shown(Jwks(self._keys.shown()))

    async def discovery(self, _request: web.Request) -> web.Response:
        issuer = self._tokens.issuer
        return _shown(
            Discovery(
                issuer=issuer,
                jwks_uri=f"{issuer}/.well-known/jwks.json",
                token_endpoint=f"{issuer}/auth/refresh",
                userinfo_endpoint=f"{issuer}/auth/me",
                end_session_endpoint=f"{issuer}/auth/logout",
                grant_types_supported=["refresh_token"],
                response_types_supported=["token"],
                subject_types_supported=["public"],
                id_token_signing_alg_values_supported=[ALGORITHM],
                claims_supported=[
                    "iss", "sub", "aud", "exp", "iat", "sid", "session_id", "role", "aal", "amr",
                    "app_metadata",
                ],
            )
        )  # fmt: skip

    # -------------------------------------------------------------- who asks, and may they

    def _checked(self, asked: AskCode) -> tuple[WaId, TenantId | None]:
        problems = []
        phone = parse_phone(asked.phone)
        if phone is None:
            problems.append(FieldProblem("is no telephone number", pointer="/phone"))
        elif not is_of_country(phone, self._rules.countries):
            problems.append(FieldProblem("is of a country that gets no codes", pointer="/phone"))
        tenant = None if asked.tenant is None else TenantId(str(asked.tenant))
        if tenant is not None and self._directory.firm(tenant) is None:
            problems.append(FieldProblem("is no firm of ours", pointer="/tenant"))
        if problems or phone is None:
            raise invalid(*problems)
        return phone, tenant

    async def within_limit(self, request: web.Request, what: str) -> None:
        """Raise ApiError if too many of them were asked for from one address."""
        per_hour = self._rules.per_ip_hour
        net = network_of(request, self._rules.trusted_proxies)
        bucket = self._addresses.make(net.encode())[:16].hex()
        wait_ms = await self._limits.take(
            f"{what}:{bucket}", per_s=per_hour / 3600, burst=max(1, per_hour)
        )
        if wait_ms:
            self._metrics.count("code_capped", "address")
            raise too_many("Too much was asked for from here.", math.ceil(wait_ms / 1000))

    def _claims(self, request: web.Request) -> Claims:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenError("missing")
            return self._tokens.read(token.strip())
        except TokenError as error:
            self._metrics.count("token_refused", str(error))
            raise _unknown_caller() from error

    async def _open_session(self, request: web.Request) -> Claims:
        """Who asks, if their session is still open: here, unlike elsewhere, a logout counts at once."""
        claims = self._claims(request)
        async with self._database.system() as connection:
            if not await self._sessions.is_open(
                connection, claims.ugid, claims.session, at=moment(self._clock)
            ):
                raise _unknown_caller()
        return claims

    # -------------------------------------------------------------- answers

    def opened_answer(self, opened: Opened) -> web.Response:
        token = self._tokens.make(
            opened.ugid,
            opened.session,
            method=opened.method,
            since=opened.since,
            tenant=opened.tenant,
            role=opened.role,
        )
        refresh = opened.refresh_token or UNSET
        return answer_json(LoggedIn(token, "bearer", ACCESS_S, opened.ugid, refresh))

    def served(
        self, path: str, do: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """What may go wrong, answered as a problem, counted, and told to the pages that may ask."""
        name = path.removeprefix("/")

        async def serve(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse
            try:
                answer = await do(request)
            except ApiError as error:
                answer = _problem(error)
            except (
                StoreLostError,
                LaneError,
                DirectoryError,
                NoSigningKeyError,
                StoreError,
                *UNAVAILABLE,
            ) as error:
                log.warning("identity.unavailable", route=name, error=type(error).__name__)
                answer = _problem(unavailable())
            except asyncpg.PostgresError as error:
                log.error("identity.refused_by_store", route=name, error=type(error).__name__)
                answer = _problem(unavailable())
            self._metrics.count("auth", f"{name}.{answer.status}")
            origin = request.headers.get(hdrs.ORIGIN, "")
            if origin in self._rules.origins:
                answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
                answer.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
                answer.headers[hdrs.VARY] = hdrs.ORIGIN
            return answer

        return serve


# ------------------------------------------------------------------ requests


async def read_body(request: web.Request, kind: type[_Body]) -> _Body:
    if request.content_type != "application/json":
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Send application/json.")
    if (request.content_length or 0) > BODY_MAX:
        raise _too_large()
    body = await request.content.read(BODY_MAX + 1)
    while len(body) <= BODY_MAX and not request.content.at_eof():
        body += await request.content.read(BODY_MAX + 1 - len(body))
    if len(body) > BODY_MAX:
        raise _too_large()
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise unreadable(error) from error
    except UnicodeDecodeError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "json", "The body is not JSON: no UTF-8.") from error


def agent_of(request: web.Request) -> str:
    """What the browser calls itself. Headers may hold any bytes, PostgreSQL's texts may not."""
    told = request.headers.get(hdrs.USER_AGENT, "")
    return told.encode("utf-8", "replace").decode().replace("\0", "")


def network_of(request: web.Request, proxies: int) -> str:
    """Where a request comes from: an IPv4 address, or the /64 that one IPv6 subscriber has whole."""
    told = request.remote or ""
    if proxies:
        path = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
        # What stands further left was written by strangers.
        if len(path) >= proxies and path[-proxies].strip():
            told = path[-proxies].strip()
    try:
        address = ipaddress.ip_address(told.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, V6_PREFIX), strict=False))
    return str(address)


# ------------------------------------------------------------------ answers

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def answer_json(body: Struct, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=_json(body), status=status, headers=_HEADERS, content_type="application/json"
    )


def _shown(body: Struct) -> web.Response:
    """For everybody, from any page, and to be kept for a while."""
    return web.Response(
        body=_json(body),
        content_type="application/json",
        headers={
            "Cache-Control": f"public, max-age={CACHE_S}",
            "Access-Control-Allow-Origin": "*",
        },
    )


def _problem(error: ApiError) -> web.Response:
    return web.Response(
        body=_json(error.problem),
        status=error.problem.status,
        headers={**_HEADERS, **error.headers},
        content_type=MEDIA_TYPE,
    )


async def _allow(_request: web.Request) -> web.Response:
    """What a browser asks before a page of another address may ask. No cookie of ours goes along."""
    return web.Response(
        status=HTTPStatus.NO_CONTENT,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, DELETE",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: "600",
        },
    )


def _refusing(methods: list[str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def refuse(_request: web.Request) -> web.Response:
        allowed = ", ".join(methods)
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED, "method", f"Here is {allowed} only.",
            headers={hdrs.ALLOW: allowed},
        )  # fmt: skip

    return refuse


def _wrong_code() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED, "code", "This code does not work: ask for a new one.",
        headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="smarterbot"'},
    )  # fmt: skip


def _no_session() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED, "session", "The session is over: log in again.",
        headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="smarterbot"'},
    )  # fmt: skip


def _unknown_caller() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED, "token", "A valid access token is needed.",
        headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="smarterbot", error="invalid_token"'},
    )  # fmt: skip


def _no_such_session() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "session", "You have no such session.")


def too_many(detail: str, wait_s: int) -> ApiError:
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS, "too_many", detail, headers={hdrs.RETRY_AFTER: str(wait_s)}
    )


def _too_large() -> ApiError:
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", f"A body has up to {BODY_MAX:,} bytes."
    )


def unavailable() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Not now. Try again in a moment.",
        headers={hdrs.RETRY_AFTER: RETRY_S},
    )  # fmt: skip
