"""The hosted page `/connect`, on which an owner connects their firm's own WhatsApp number, and what it asks of us.

    GET  /connect            the page; its ticket stands behind the `#` (`bot/onboarding/connect.py`)
    POST /connect/status     {ticket}: whose it is, and how far its number is
    POST /connect/number     {ticket, code, waba_id?, phone_number_id?, coexistence?}: what Meta's window gave
    POST /connect/again      {ticket, pin?}: try anew what has failed

The page alone loads Meta's SDK, so it alone is allowed to.
"""

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

import asyncpg
import msgspec
import structlog
from aiohttp import hdrs, web
from jinja2 import Environment
from msgspec import Meta, Struct

from bot.api.problems import MEDIA_TYPE, ApiError
from bot.clock import Clock
from bot.identity import people
from bot.identity.routes import answer_json, read_body, too_many, unavailable
from bot.lanes import LaneError, StoreLostError
from bot.metrics import Metrics
from bot.onboarding.connect import (
    MAY_CONNECT,
    PAGE,
    Connections,
    ConnectTickets,
    Ticket,
    UsedError,
)
from bot.people.directory import Directory
from bot.people.errors import TakenError
from bot.store.database import Database
from bot.store.errors import UNAVAILABLE, StoreError
from flows.dialog.texts import Texts
from handlers.ports import Limits, StoreDownError
from handlers.whatsapp.embedded_signup import EmbeddedSignup, Given, SignupRefusedError
from handlers.whatsapp.errors import GraphError, GraphFault

STEM: Final = "server.connect."
KINDS: Final = {"connect.js": "text/javascript", "connect.css": "text/css"}
META_FRAMES: Final = ("https://*.facebook.com", "https://facebook.com")
META_SDK: Final = "https://connect.facebook.net"
PER_HOUR: Final = 20
"""Tries of one ticket: each costs Meta's window a few minutes, so nobody has more."""

log = structlog.get_logger()

_TICKET_MAX: Final = 1_000
_TicketText = Annotated[str, Meta(min_length=1, max_length=_TICKET_MAX)]
_Id = Annotated[str, Meta(pattern="^[0-9]{0,32}$")]


class GiveTicket(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /connect/status`."""

    ticket: _TicketText


class GiveNumber(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /connect/number`. The ids are hints; Meta is asked."""

    ticket: _TicketText
    code: Annotated[str, Meta(min_length=1, max_length=4_000)]
    waba_id: _Id = ""
    phone_number_id: _Id = ""
    coexistence: bool = False


class TryAgain(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /connect/again`."""

    ticket: _TicketText
    pin: Annotated[str, Meta(pattern="^([0-9]{6})?$")] = ""


class Stands(Struct, frozen=True):
    """How far the number of a ticket is."""

    firm: str
    state: str
    """`open`: none was connected yet; else as `bot.onboarding.connect.State`."""
    step: str = ""
    reason: str = ""
    number: str = ""
    """As people read it."""
    coexistence: bool = False


class ConnectPage:
    """Serves the page, its files, and what it asks."""

    def __init__(
        self,
        tickets: ConnectTickets,
        connections: Connections,
        signup: EmbeddedSignup,
        *,
        database: Database,
        directory: Directory,
        texts: Texts,
        limits: Limits,
        app_id: str,
        config_id: str,
        sdk_url: str,
        chat_url: str,
        graph_version: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            app_id: of the Meta app; with `config_id` empty where numbers cannot be connected.
            chat_url: where links that open a chat lead.
            sdk_url: of Meta's SDK. One that is not Meta's is the emulator's, whose window lies beside it.
        """
        folder = files(__package__) / "page"
        self._tickets = tickets
        self._connections = connections
        self._signup = signup
        self._database = database
        self._directory = directory
        self._texts = texts
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._chat_url = chat_url
        self._able = bool(app_id and config_id)
        sdk = urlsplit(sdk_url)
        origin = f"{sdk.scheme}://{sdk.netloc}"
        frames = META_FRAMES if origin == META_SDK else (origin,)
        self._page = Environment(autoescape=True).from_string((folder / "connect.html").read_text())
        self._files = {name: (folder / name).read_text() for name in KINDS}
        self._facts = {
            "able": self._able,
            "appId": app_id,
            "configId": config_id,
            "sdk": sdk_url,
            "version": graph_version,
            "origins": frames,
        }
        self._headers = _headers(origin, frames)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE, self.show),
            *(web.get(f"{PAGE}/{name}", self._served(name)) for name in KINDS),
            web.post(f"{PAGE}/status", self._answered("status", self.status)),
            web.post(f"{PAGE}/number", self._answered("number", self.number)),
            web.post(f"{PAGE}/again", self._answered("again", self.again)),
        ]

    # -------------------------------------------------------------- the page

    async def show(self, request: web.Request) -> web.Response:
        asked = request.query.get("locale") or request.headers.get(hdrs.ACCEPT_LANGUAGE, "")[:5]
        voice = self._texts.voice(asked or self._texts.default)
        words = {
            key.removeprefix(STEM): voice.render(key, {}) for key in voice if key.startswith(STEM)
        }
        platform = self._directory.platform()
        phone = "".join(filter(str.isdigit, platform.display_phone)) if platform else ""
        chat = f"{self._chat_url}/{phone}" if phone else ""
        person = f"{chat}?text={quote(words['ask_person'])}" if chat else ""
        settings = {**self._facts, "locale": voice.locale, "words": words}
        html = self._page.render(
            t=words,
            lang=voice.locale.replace("_", "-"),
            settings=msgspec.json.encode(settings).decode(),
            chat=chat,
            person=person,
            other=f"?locale={'es_CL' if voice.locale.startswith('en') else 'en'}",
        )
        return web.Response(text=html, content_type="text/html", headers=self._headers)

    def _served(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(_request: web.Request) -> web.Response:
            return web.Response(
                text=self._files[name],
                content_type=KINDS[name],
                charset="utf-8",
                headers=self._headers,
            )

        return serve

    # -------------------------------------------------------------- what it asks

    async def status(self, request: web.Request) -> web.Response:
        given = await read_body(request, GiveTicket)
        return await self._stands(await self._opened(given.ticket))

    async def number(self, request: web.Request) -> web.Response:
        given = await read_body(request, GiveNumber)
        ticket = await self._opened(given.ticket)
        wait_ms = await self._limits.take(
            f"connect:{ticket.id}", per_s=PER_HOUR / 3600, burst=PER_HOUR
        )
        if wait_ms:
            raise too_many("Too many tries with this link.", math.ceil(wait_ms / 1000))
        standing = await self._connections.standing(ticket)
        if standing is not None and standing.state != "failed":
            raise _used()
        try:
            # Nothing before this: the code lives for half a minute.
            proved = await self._signup.prove(
                Given(given.code, given.waba_id, given.phone_number_id, given.coexistence)
            )
            await self._connections.begin(ticket, proved)
        except SignupRefusedError as error:
            self._metrics.count("connect_refused", error.why)
            log.warning("connect.refused", tenant=ticket.tenant, why=error.why)
            raise _refused(error.why) from error
        except TakenError as error:
            self._metrics.count("connect_refused", "taken")
            log.warning("connect.refused", tenant=ticket.tenant, why="taken")
            raise _refused("taken") from error
        except UsedError as error:
            raise _used() from error
        except GraphError as error:
            why = error.fault.name if isinstance(error, GraphFault) else type(error).__name__
            self._metrics.count("connect_refused", "down")
            log.warning("connect.meta_unasked", tenant=ticket.tenant, why=why)
            raise _refused("down") from error
        self._metrics.count("connect", "begun")
        log.info("connect.begun", tenant=ticket.tenant, coexistence=proved.coexistence)
        return await self._stands(ticket, HTTPStatus.ACCEPTED)

    async def again(self, request: web.Request) -> web.Response:
        given = await read_body(request, TryAgain)
        ticket = await self._opened(given.ticket)
        if await self._connections.again(ticket, pin=given.pin):
            self._metrics.count("connect", "again")
        return await self._stands(ticket, HTTPStatus.ACCEPTED)

    async def _opened(self, text: str) -> Ticket:
        """The ticket, if it is ours, still good, and its person may still act for the firm.

        Raises:
            ApiError: it is not.
        """
        if not self._able:
            raise ApiError(HTTPStatus.NOT_FOUND, "cannot", "This platform connects no numbers yet.")
        ticket = self._tickets.open(text)
        if ticket is None or self._directory.firm(ticket.tenant) is None:
            self._metrics.count("connect_ticket", "unknown")
            raise ApiError(HTTPStatus.FORBIDDEN, "ticket", "This link is none of ours.")
        if ticket.until_ms <= self._clock.now_ms():
            self._metrics.count("connect_ticket", "late")
            raise ApiError(HTTPStatus.GONE, "late", "This link is over: ask for another one.")
        async with self._database.system() as connection:
            role = await people.role_in(connection, ticket.ugid, ticket.tenant)
        if role not in MAY_CONNECT:
            self._metrics.count("connect_ticket", "no_member")
            raise ApiError(
                HTTPStatus.FORBIDDEN, "no_member", "You do not act for this firm any more."
            )
        return ticket

    async def _stands(self, ticket: Ticket, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        firm = self._directory.firm(ticket.tenant)
        name = "" if firm is None else firm.name
        found = await self._connections.standing(ticket)
        if found is None:
            return answer_json(Stands(name, "open"))
        return answer_json(
            Stands(
                firm=name,
                state=found.state,
                step=found.step,
                reason=found.reason,
                number=found.display_phone,
                coexistence=found.coexistence,
            ),
            status,
        )

    def _answered(
        self, name: str, do: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What may go wrong, answered as a problem and counted."""

        async def answer(request: web.Request) -> web.Response:
            try:
                told = await do(request)
            except ApiError as error:
                told = _problem(error)
            except (StoreLostError, StoreDownError, LaneError, StoreError, *UNAVAILABLE) as error:
                log.warning("connect.unavailable", route=name, error=type(error).__name__)
                told = _problem(unavailable())
            except asyncpg.PostgresError as error:
                log.error("connect.refused_by_store", route=name, error=type(error).__name__)
                told = _problem(unavailable())
            self._metrics.count("connect_page", f"{name}.{told.status}")
            return told

        return answer


def _headers(sdk: str, frames: tuple[str, ...]) -> dict[str, str]:
    windows = " ".join(frames)
    # Meta's SDK opens a window, asks in hidden frames whether somebody is logged in, and counts by an image.
    policy = (
        f"default-src 'none'; script-src 'self' {sdk}; style-src 'self'; connect-src 'self' {windows}; "
        f"frame-src {windows}; img-src data: {windows}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        # Meta wants to see which site asks; what stands in the address is nobody else's to know.
        "Referrer-Policy": "strict-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


def _problem(error: ApiError) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(error.problem),
        status=error.problem.status,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **error.headers},
        content_type=MEDIA_TYPE,
    )


def _used() -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, "used", "This link has connected a number.")


def _refused(why: str) -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, why, "The number was not connected; nothing was changed.")
