"""The web routes of logins that are confirmed in a chat: begun, looked at, taken. The browser is known by a cookie alone.

Over, refused, taken, never begun and begun by another browser are one answer to the outside.
"""

import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

import msgspec
import segno
from aiohttp import hdrs, web
from msgspec import Meta, Struct

from bot.api.problems import ApiError, FieldProblem, invalid
from bot.clock import Clock
from bot.identity import people
from bot.identity.browsers import browser_and_system
from bot.identity.errors import DisabledError
from bot.identity.keys import SigningKeys
from bot.identity.links import LIFE_MS, About, Links, Taken
from bot.identity.moments import moment
from bot.identity.routes import (
    IdentityRoutes,
    agent_of,
    answer_json,
    network_of,
    read_body,
    unavailable,
)
from bot.identity.sessions import Sessions
from bot.identity.values import LinkBegun, LinkStands
from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.people.chat_links import chat_link
from bot.people.directory import Directory
from bot.store.database import Database
from flows.dialog.texts import Texts
from flows.values.ids import TenantId
from handlers.ports import Channel

METHOD: Final = "whatsapp"
"""How a confirmation in the chat is called in `amr`."""
COOKIE: Final = "smarterbot_login"
PREFILL: Final = "server.login.prefill"
LOOK_S: Final = 1.0
EVENTS_MAX: Final = 500
"""Browsers that one process tells by themselves; the others ask."""
PLACE_MAX: Final = 40


class AskLink(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/link`."""

    tenant: UUID | None = None
    locale: Annotated[
        str, Meta(max_length=10, pattern="^([A-Za-z]{2,3}([_-][A-Za-z]{2,4})?)?$")
    ] = ""


class GiveEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /auth/entry`."""

    entry: Annotated[str, Meta(min_length=1, max_length=200)]


class LinkRoutes:
    """`/auth/link…` and `/auth/entry`."""

    def __init__(
        self,
        links: Links,
        routes: IdentityRoutes,
        *,
        database: Database,
        directory: Directory,
        sessions: Sessions,
        keys: SigningKeys,
        texts: Texts,
        chat_url: str,
        secure: bool,
        proxies: int,
        place_header: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            chat_url: where links into chats lead, https://wa.me.
            secure: whether we are reached by https: then the cookie travels by nothing else.
            proxies: of ours in front of the server.
            place_header: in which the proxy tells the city of a browser; empty if it does not.
        """
        self._links = links
        self._routes = routes
        self._database = database
        self._directory = directory
        self._sessions = sessions
        self._keys = keys
        self._texts = texts
        self._chat_url = chat_url
        self._secure = secure
        self._proxies = proxies
        self._place_header = place_header
        self._clock = clock
        self._metrics = metrics
        self._telling = 0

    def routes(self) -> list[web.RouteDef]:
        return self._routes.table(
            {
                ("POST", "/auth/link"): self.begin,
                ("GET", "/auth/link"): self.look,
                ("GET", "/auth/link/events"): self.events,
                ("POST", "/auth/link/session"): self.take,
                ("POST", "/auth/entry"): self.enter,
            }
        )

    # -------------------------------------------------------------- from the web

    async def begin(self, request: web.Request) -> web.Response:
        asked = await read_body(request, AskLink)
        tenant = None if asked.tenant is None else TenantId(str(asked.tenant))
        if tenant is not None and self._directory.firm(tenant) is None:
            raise invalid(FieldProblem("is no firm of ours", pointer="/tenant"))
        channel = self._channel(tenant)
        firm = None if channel is None else self._directory.firm(tenant or channel.tenant)
        if channel is None or firm is None:
            raise unavailable()
        await self._routes.within_limit(request, "link")
        await self._links.give_up(request.cookies.get(COOKIE, ""))
        browser, system = browser_and_system(agent_of(request))
        about = About(
            business=firm.name,
            browser=browser,
            system=system,
            place=self._place(request.headers),
            network=_half(network_of(request, self._proxies)),
            begun=self._clock.now_ms(),
        )
        begun = await self._links.begin(channel.id, about, tenant=tenant, locale=asked.locale)
        names = {"business": firm.name, "ref": begun.ref}
        message = self._texts.voice(asked.locale or firm.locale).render(PREFILL, names)
        address = chat_link(self._chat_url, channel, message)
        self._metrics.count("login_link", "begun")
        answer = answer_json(
            LinkBegun(address, _svg(address), message, LIFE_MS // 1000), HTTPStatus.CREATED
        )
        answer.set_cookie(
            COOKIE,
            begun.secret,
            max_age=LIFE_MS // 1000,
            path="/auth",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    async def look(self, request: web.Request) -> web.Response:
        status, left_ms = await self._links.look(request.cookies.get(COOKIE, ""))
        return answer_json(LinkStands(status, left_ms // 1000))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: how it stands, at once and whenever it changes, until there is nothing more to tell."""
        if self._telling >= EVENTS_MAX:
            raise unavailable()
        secret = request.cookies.get(COOKIE, "")
        status, left_ms = await self._links.look(secret)
        stream = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        self._telling += 1
        try:
            await stream.prepare(request)
            told = ""
            while True:
                if status != told:
                    data = msgspec.json.encode(LinkStands(status, left_ms // 1000))
                    await stream.write(b"event: status\ndata: " + data + b"\n\n")
                    told = status
                else:
                    await stream.write(b":\n\n")
                if status in ("approved", "refused", "over"):
                    break
                await self._clock.sleep(LOOK_S)
                status, left_ms = await self._links.look(secret)
            await stream.write_eof()
        except ConnectionResetError:
            pass  # the page was closed
        except (StoreLostError, LaneError):
            # Its answer has begun, so it cannot be told a problem: it is cut off, and asks.
            stream.force_close()
        finally:
            self._telling -= 1
        return stream

    async def take(self, request: web.Request) -> web.Response:
        # Before the login is used up: without a key there would be nothing to give for it.
        self._keys.current()
        taken = await self._links.take(request.cookies.get(COOKIE, ""))
        answer = await self._open(request, taken)
        answer.del_cookie(COOKIE, path="/auth")
        return answer

    # -------------------------------------------------------------- from the chat

    async def enter(self, request: web.Request) -> web.Response:
        given = await read_body(request, GiveEntry)
        self._keys.current()
        return await self._open(request, await self._links.take(given.entry))

    # -------------------------------------------------------------- parts

    async def _open(self, request: web.Request, taken: Taken | None) -> web.Response:
        if taken is None:
            self._metrics.count("login_link", "not_taken")
            raise _over()
        who, now = taken.who, moment(self._clock)
        try:
            async with self._database.system() as connection:
                ugid = await people.enter_by_chat(
                    connection, who.phone, who.bsuid, who.scope, at=now, locale=taken.locale
                )
                if who.ugid not in (None, ugid):
                    raise DisabledError("moved")
                if taken.tenant is not None:
                    await people.join(connection, ugid, taken.tenant, now)
                opened = await self._sessions.begin(
                    connection,
                    ugid,
                    at=now,
                    method=METHOD,
                    agent=agent_of(request),
                    tenant=taken.tenant,
                )
        except DisabledError as error:
            raise _over() from error
        self._metrics.count("login", "chat")
        return self._routes.opened_answer(opened)

    def _channel(self, tenant: TenantId | None) -> Channel | None:
        """The number to write to: the firm's own, else the platform's."""
        own = () if tenant is None else self._directory.own_channels(tenant)
        # On a demo number nobody logs in.
        return next((each for each in own if not each.demo), None) or self._directory.platform()

    def _place(self, headers: Mapping[str, str]) -> str:
        """The city that the proxy tells: a word from outside, shown to a person."""
        if not (self._proxies and self._place_header):
            return ""
        told = headers.get(self._place_header, "")
        return told if len(told) <= PLACE_MAX and told.replace(" ", "").isalpha() else ""


def _svg(address: str) -> str:
    out = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=True, scale=4, border=4, dark="#000", light="#fff"
    )
    return out.getvalue().decode()


def _half(network: str) -> str:
    """Enough of an address for its owner to know it again, and no more."""
    if ":" in network:
        return f"{':'.join(network.split(':')[:2])}:…"
    parts = network.split(".")
    return f"{parts[0]}.{parts[1]}.x.x" if len(parts) == 4 else ""


def _over() -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED, "link", "This link does not work: ask for a new one.",
        headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="smarterbot"'},
    )  # fmt: skip
