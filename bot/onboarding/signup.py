"""Serves the lanes `signup/<conversation>`: what the sign-up asks, for the person who wrote."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, get_args
from zoneinfo import ZoneInfo

import msgspec
import structlog

from bot.clock import Clock
from bot.engine.asks import RefusedCallError, serve_ask
from bot.engine.limits import Limits
from bot.engine.proposals import Proposal, Proposals, Recipient
from bot.identity import people
from bot.identity.errors import DisabledError
from bot.identity.links import Who
from bot.identity.moments import moment
from bot.identity.writers import Writers
from bot.metrics import Metrics
from bot.onboarding.firms import Firms, OpenedFirm, TakenRutError, TooManyFirmsError
from bot.onboarding.funnel import begun_at
from bot.onboarding.joins import Asked, Decided, Joins, TooManyError, message_id
from bot.onboarding.parts import read_parts
from bot.onboarding.setup import SetUps
from bot.people.directory import Directory
from bot.store.database import Database
from flows.calls.signup import (
    DecideJoin,
    Document,
    FindOwn,
    FindRut,
    Known,
    OpenFirm,
    OwnFirm,
    RequestJoin,
)
from flows.dialog.answers import NAME_MAX
from flows.dialog.calls import decode, encode
from flows.intents import AccessDecided, AccessRequested, AnyIntent
from flows.onboarding.trade import Trade
from flows.values.comuna import comunas
from flows.values.email import parse_email
from flows.values.ids import MessageId, TenantId, Ugid
from flows.values.rut import parse_rut
from handlers.actions import Ask
from handlers.events import Permission, Sender
from handlers.ports import Channel, Item, Outcome

SIGN_UP: Final = "signup"
"""The flow that asks."""
HOUR_S: Final = 3_600
RUTS_PER_HOUR: Final = 10
"""That one person may ask about, in whichever call: more would be looking for who is here."""
NAME_MIN: Final = 2
DAY_S: Final = 86_400
DECIDED_LIFE: Final = timedelta(days=3)

log = structlog.get_logger()


class Signups:
    """The handler of kind `signup`."""

    def __init__(
        self,
        firms: Firms,
        joins: Joins,
        set_ups: SetUps,
        writers: Writers,
        proposals: Proposals,
        *,
        database: Database,
        directory: Directory,
        limits: Limits,
        publish: Callable[[], Awaitable[None]],
        demo_link: Callable[[TenantId], str],
        connect_link: Callable[[TenantId, Ugid], str],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """
        Args:
            publish: tells all processes that a firm is new.
            demo_link: what opens a chat with a firm's bot; empty: nothing does.
            connect_link: page on which a firm's own number is connected; empty: there is none.
        """
        self._firms = firms
        self._joins = joins
        self._set_ups = set_ups
        self._writers = writers
        self._proposals = proposals
        self._database = database
        self._directory = directory
        self._limits = limits
        self._publish = publish
        self._demo_link = demo_link
        self._connect_link = connect_link
        self._clock = clock
        self._metrics = metrics

    @property
    def kind(self) -> str:
        return "signup"

    async def serve(self, item: Item) -> Outcome:
        return await serve_ask(item, lambda ask: self._answer(ask, item), metrics=self._metrics)

    async def _answer(self, ask: Ask, item: Item) -> msgspec.Raw | None:
        who = await self._writers.of(ask)
        if who is None:
            raise RefusedCallError("nobody")
        try:
            match ask.call:
                case FindOwn.__name__:
                    return encode(await self._find_own(who))
                case FindRut.__name__:
                    wanted = decode(ask.args, FindRut)
                    await self._spend(ask, item)
                    return encode(await self._firms.claim(wanted.rut, who))
                case OpenFirm.__name__:
                    return encode(await self._open(ask, item, decode(ask.args, OpenFirm), who))
                case RequestJoin.__name__:
                    join = decode(ask.args, RequestJoin)
                    await self._spend(ask, item)
                    return encode(await self._request(ask, join, who))
                case DecideJoin.__name__:
                    return encode(await self._decide(decode(ask.args, DecideJoin), who))
                case _:
                    return None
        except DisabledError as error:
            raise RefusedCallError("disabled") from error

    async def _spend(self, ask: Ask, item: Item) -> None:
        """One of the RUTs that a person may ask about; what is served again has been paid for."""
        if await self._limits.take(f"paid|{item.id}", per_s=1 / HOUR_S, burst=1):
            return
        if await self._limits.take(
            f"ruts|{ask.conversation}", per_s=RUTS_PER_HOUR / HOUR_S, burst=RUTS_PER_HOUR
        ):
            raise RefusedCallError("too_often")

    # ------------------------------------------------------------------ whoever writes

    async def _find_own(self, who: Who) -> Known:
        async with self._database.system() as connection:
            ugid = await people.known_as(connection, who.phone, who.bsuid, who.scope)
            places = () if ugid is None else await people.memberships_of(connection, ugid)
        firms: list[OwnFirm] = []
        decides: list[TenantId] = []
        for place in places:
            if ugid is None or place.role == "customer":
                continue
            firms.append(await self._own(place.tenant, ugid))
            if place.role in ("owner", "admin"):
                decides.append(place.tenant)
        joins = await self._joins.waiting(decides, at=moment(self._clock)) if decides else ()
        return Known(firms=tuple(firms), joins=joins)

    async def _own(self, tenant: TenantId, ugid: Ugid) -> OwnFirm:
        async with self._database.tenant(tenant) as connection:
            role = await people.role_in(connection, ugid, tenant)
            name = await connection.fetchval(
                "SELECT name FROM smarterbot.tenants WHERE id = $1", tenant
            )
            parts = await read_parts(connection, tenant)
        if role is None or role == "customer":
            # Shown out since a moment ago.
            raise RefusedCallError("shown_out")
        connects = role in ("owner", "admin")
        return OwnFirm(
            tenant=tenant,
            name=name,
            role=role,
            parts=parts,
            demo_link=self._demo_link(tenant),
            connect_link=self._connect_link(tenant, ugid) if connects else "",
        )

    # ------------------------------------------------------------------ a firm is opened

    async def _open(self, ask: Ask, item: Item, call: OpenFirm, who: Who) -> OwnFirm | None:
        call = _checked(call)
        at = moment(self._clock)
        platform = self._directory.firm(ask.tenant)
        locale = platform.locale if platform else "es_CL"
        opened = await self._firms.find(ask.conversation, call.draft)
        is_new = opened is None
        if opened is None:
            await self._spend(ask, item)
            try:
                opened = await self._firms.open(call, ask.conversation, who, locale=locale, at=at)
            except TakenRutError:
                self._metrics.count("signup_opened", "taken")
                return None
            except TooManyFirmsError as error:
                raise RefusedCallError("too_often") from error
        await self._begin(opened)
        self._metrics.count("signup_opened", "opened" if is_new else "again")
        if is_new:
            await self._time(ask, opened)
        return await self._own(opened.tenant, opened.owner)

    async def _time(self, ask: Ask, opened: OpenedFirm) -> None:
        """How long it took them. The journal may be behind: then nobody knows."""
        async with self._database.tenant(ask.tenant) as connection:
            began = await begun_at(connection, ask.tenant, ask.conversation, SIGN_UP)
        if began is not None:
            self._metrics.signup_seconds.observe((opened.at - began).total_seconds())

    async def _begin(self, opened: OpenedFirm) -> None:
        """What follows on a firm that is there. It is repeated with the call until all of it is durable."""
        await self._publish()
        for part in opened.waiting:
            await self._set_ups.begin(opened.tenant, part, day=int(opened.at.timestamp()) // DAY_S)

    # ------------------------------------------------------------------ who wants in

    async def _request(self, ask: Ask, call: RequestJoin, who: Who) -> bool:
        try:
            asked = await self._joins.ask(call.rut, who, ask, at=moment(self._clock))
        except TooManyError as error:
            raise RefusedCallError("too_often") from error
        if asked is None:
            return False
        channel = self._directory.channel(ask.channel)
        if channel is None:
            raise RefusedCallError("no_channel")
        for ugid, sender in asked.deciders:
            await self._say(
                channel,
                Recipient(sender),
                message_id(asked.id, "asked", ugid),
                _requested(asked, self._zone(channel)),
                at=asked.asked_at,
                expires=asked.expires_at,
            )
        self._metrics.count("signup_join", "asked")
        return True

    async def _decide(self, call: DecideJoin, who: Who) -> bool:
        at = moment(self._clock)
        async with self._database.system() as connection:
            ugid = await people.known_as(connection, who.phone, who.bsuid, who.scope)
        if ugid is None:
            return False
        decided = await self._joins.decide(call.id, ugid, admit=call.admit, at=at)
        if decided is None:
            return False
        self._metrics.count("signup_join", "admitted" if call.admit else "refused")
        channel = self._directory.channel(decided.channel)
        if channel is not None:
            await self._say(
                channel,
                Recipient(Sender(), decided.contact),
                message_id(call.id, "decided", ""),
                _decided(decided, self._zone(channel), admit=call.admit),
                at=decided.at,
                expires=decided.at + DECIDED_LIFE,
            )
        return True

    def _zone(self, channel: Channel) -> ZoneInfo:
        """In which the platform's firm names days to people."""
        platform = self._directory.firm(channel.tenant)
        return ZoneInfo(platform.zone if platform else "UTC")

    async def _say(
        self,
        channel: Channel,
        to: Recipient,
        id: MessageId,
        intent: AnyIntent,
        *,
        at: datetime,
        expires: datetime,
    ) -> None:
        await self._proposals.put(
            Proposal(
                id=id,
                channel=channel,
                to=to,
                intent=intent,
                asked_at=int(at.timestamp() * 1000),
                expires=int(expires.timestamp() * 1000),
                # About their own account: part of the contract that they accepted.
                permission=Permission("notices", "terms"),
            )
        )


def _checked(call: OpenFirm) -> OpenFirm:
    """The draft as it is kept, read once more as if nobody had read it before.

    Raises:
        RefusedCallError: it does not fit.
    """
    name, email = " ".join(call.name.split()), parse_email(call.email) if call.email else ""
    agreed = {a.document for a in call.agreements if a.version.strip() and a.proof}
    fits = {
        "rut": parse_rut(f"{call.rut[:-1]}-{call.rut[-1:]}") == call.rut and call.rut.can_be_tenant,
        "name": NAME_MIN <= len(name) <= NAME_MAX,
        "line": call.line in list(Trade),
        "comuna": call.comuna in comunas(),
        "email": email is not None,
        "agreements": agreed == ACCEPTED == {a.document for a in call.agreements},
    }
    if email is None or not all(fits.values()):
        raise RefusedCallError(next(field for field, fit in fits.items() if not fit))
    return replace(call, name=name, email=email)


ACCEPTED: Final = frozenset(get_args(Document))


def _requested(asked: Asked, zone: ZoneInfo) -> AccessRequested:
    return AccessRequested(
        name=_line(asked.firm),
        business=_line(asked.firm),
        phone_end=asked.phone_end or "····",
        day=asked.asked_at.astimezone(zone).date(),
    )


def _decided(decided: Decided, zone: ZoneInfo, *, admit: bool) -> AccessDecided:
    return AccessDecided(
        name=_line(decided.firm),
        business=_line(decided.firm),
        day=decided.asked_at.astimezone(zone).date(),
        decision="admitted" if admit else "refused",
    )


def _line(words: str) -> str:
    """As a template's variable takes it."""
    return " ".join(words.split())[:60].strip()
