"""Serves the lanes `login/<conversation>`: what the login flows ask about logins, for the person who wrote."""

from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from bot.clock import Clock
from bot.engine.asks import serve_ask
from bot.identity import people
from bot.identity.links import Links
from bot.identity.writers import Writers
from bot.lanes import Lanes
from bot.metrics import Metrics
from bot.people.directory import Directory
from bot.store.database import Database
from flows.calls.identity import (
    ApproveLogin,
    AskedLogin,
    CheckLogin,
    EnterPanel,
    Panel,
    RefuseLogin,
)
from flows.dialog.calls import decode, encode
from flows.login import ENTRY
from flows.values.ids import TenantId
from handlers.actions import Ask
from handlers.ports import Alerts, Channel, Item, Outcome

REFUSED: Final = "login_refused"
"""The alert of somebody who says that a login is not theirs."""

log = structlog.get_logger()


class ChatLogins:
    """The handler of kind `login`."""

    def __init__(
        self,
        links: Links,
        lanes: Lanes,
        *,
        database: Database,
        directory: Directory,
        alerts: Alerts,
        page: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`page`: address of the login page."""
        self._links = links
        self._writers = Writers(lanes, directory)
        self._database = database
        self._directory = directory
        self._alerts = alerts
        self._page = page
        self._clock = clock
        self._metrics = metrics

    @property
    def kind(self) -> str:
        return "login"

    async def serve(self, item: Item) -> Outcome:
        return await serve_ask(item, self._answer, metrics=self._metrics)

    async def _answer(self, ask: Ask) -> msgspec.Raw | None:
        match ask.call:
            case "CheckLogin":
                return encode(await self._check(ask, decode(ask.args, CheckLogin)))
            case "ApproveLogin":
                return encode(await self._approve(ask, decode(ask.args, ApproveLogin)))
            case "RefuseLogin":
                return encode(await self._refuse(ask, decode(ask.args, RefuseLogin)))
            case "EnterPanel":
                return encode(await self._enter(ask, decode(ask.args, EnterPanel)))
            case _:
                return None

    async def _check(self, ask: Ask, call: CheckLogin) -> AskedLogin | None:
        found = await self._links.ask(call.ref, ask.channel, ask.conversation)
        self._metrics.count("login_link", "asked" if found else "unknown")
        if found is None:
            return None
        id, about = found
        return AskedLogin(
            id=id,
            business=about.business,
            browser=about.browser,
            system=about.system,
            place=about.place,
            network=about.network,
            at=datetime.fromtimestamp(about.begun / 1000, UTC),
        )

    async def _approve(self, ask: Ask, call: ApproveLogin) -> bool:
        who = await self._writers.of(ask)
        done = who is not None and await self._links.approve(call.id, ask.conversation, who)
        self._metrics.count("login_link", "approved" if done else "too_late")
        return done

    async def _refuse(self, ask: Ask, call: RefuseLogin) -> bool:
        done = await self._links.refuse(call.id, ask.conversation)
        # Also if it was over: somebody was sent a link that they did not ask for.
        self._metrics.count("login_link", "refused")
        log.warning("login.refused", tenant=ask.tenant, conversation=ask.conversation)
        await self._alerts.raise_(ask.tenant, ask.channel, REFUSED, "")
        return done

    async def _enter(self, ask: Ask, call: EnterPanel) -> Panel:
        who = await self._writers.of(ask)
        channel = self._directory.channel(ask.channel)
        if who is None or channel is None:
            return Panel()
        if not who.phone:
            who = msgspec.structs.replace(who, phone=call.phone)
        async with self._database.system() as connection:
            ugid = await people.known_as(connection, who.phone, who.bsuid, who.scope)
            if ugid is None:
                return Panel(phone_needed=not who.phone)
            places = await people.memberships_of(connection, ugid)
        firms = [place.tenant for place in places if place.role != "customer"]
        tenant = _panel_of(channel, firms)
        if tenant is None and not (channel.platform and firms):
            return Panel()
        entry = msgspec.structs.replace(who, ugid=ugid)
        secret = await self._links.enter(entry, tenant=tenant, locale="")
        self._metrics.count("login_link", "entry")
        return Panel(f"{self._page}{ENTRY}{secret}")


def _panel_of(channel: Channel, firms: list[TenantId]) -> TenantId | None:
    """The firm whose panel it is: of the firm they write to, or, on the platform's number, their only one."""
    if channel.tenant in firms:
        return channel.tenant
    return firms[0] if channel.platform and len(firms) == 1 else None
