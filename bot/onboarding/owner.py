"""Serves the lanes `owner/<conversation>`: what a firm's people change by chat, and who they invite.

A flow names a firm, never who asks: that is whoever wrote, and what they may do there is looked up for each call.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, NoReturn
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import structlog

from bot.clock import Clock
from bot.engine.asks import serve_ask
from bot.engine.proposals import Proposal, Proposals, Recipient
from bot.identity import people
from bot.identity.errors import DisabledError
from bot.identity.links import Who
from bot.identity.moments import moment
from bot.lanes import Wire
from bot.metrics import Metrics
from bot.onboarding.invitations import TeamInvitations, Waiting, Written
from bot.people.directory import Directory, publish_directory
from bot.people.errors import UnknownError
from bot.people.tenants import change_settings, get_tenant
from bot.store.database import Connection, Database
from bot.store.errors import UNAVAILABLE, StoreError
from bot.store.secrets import SecretBox
from flows.calls.owner import (
    AnswerInvitation,
    ChangeFirm,
    FindInvitations,
    Invitation,
    Invitations,
    Invite,
    Invited,
    ReadFirm,
    Told,
)
from flows.customer.shop import SETTINGS, SettingError, check_setting
from flows.dialog.calls import decode, encode
from flows.intents import LINE_MAX, TeamInvitation
from flows.values.ids import MessageId, TenantId, Ugid
from flows.values.phone import parse_phone
from handlers.actions import Ask
from handlers.events import Permission, Sender
from handlers.ports import Channel, Item, Outcome

EXPIRE_EVERY_S: Final = 3_600.0
MANAGERS: Final[tuple[people.Role, ...]] = ("owner", "admin")
"""Who may change a firm, and invite."""
MESSAGES: Final = UUID("8f1f3a52-6f0e-4b6e-9a53-6f1d6e0c1d5e")
"""Names the messages that invite, each after the asking that it is for."""

WhoWrote = Callable[[Ask], Awaitable[Who | None]]
"""Whose message it was. None: the conversation is nobody's any more."""

log = structlog.get_logger()


class OwnerCalls:
    """The handler of kind `owner`."""

    def __init__(
        self,
        who: WhoWrote,
        *,
        database: Database,
        directory: Directory,
        wire: Wire,
        box: SecretBox,
        proposals: Proposals,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`directory`: loaded."""
        self._who = who
        self._database = database
        self._directory = directory
        self._wire = wire
        self._box = box
        self._proposals = proposals
        self._clock = clock
        self._metrics = metrics
        self._invitations = TeamInvitations(box, directory.pepper)

    @property
    def kind(self) -> str:
        return "owner"

    async def serve(self, item: Item) -> Outcome:
        return await serve_ask(item, self._answer, metrics=self._metrics)

    async def run(self) -> NoReturn:
        """Forget the phones of invitations that are over: every hour, for ever, and whenever the time is moved."""
        while True:
            try:
                async with self._database.system() as connection:
                    await connection.fetchval(
                        "SELECT smarterbot.expire_invitations($1)", moment(self._clock)
                    )
            except (*UNAVAILABLE, StoreError, asyncpg.PostgresError) as error:
                log.warning("owner.invitations_not_expired", error=type(error).__name__)
            await self._clock.sleep(EXPIRE_EVERY_S)

    async def _answer(self, ask: Ask) -> msgspec.Raw | None:
        match ask.call:
            case "ReadFirm":
                return encode(await self._read(ask, decode(ask.args, ReadFirm)))
            case "ChangeFirm":
                return encode(await self._change(ask, decode(ask.args, ChangeFirm)))
            case "Invite":
                return encode(await self._invite(ask, decode(ask.args, Invite)))
            case "FindInvitations":
                return encode(await self._find(ask, decode(ask.args, FindInvitations)))
            case "AnswerInvitation":
                return encode(await self._take(ask, decode(ask.args, AnswerInvitation)))
            case _:
                return None

    # -------------------------------------------------------------- what customers are told

    async def _read(self, ask: Ask, call: ReadFirm) -> Told | None:
        if not await self._manages(ask, call.tenant):
            return None
        firm = (await get_tenant(self._database, call.tenant)).firm
        # Nothing but what an owner can set: the marketplace's record is not told.
        return Told({key: firm.settings[key] for key in SETTINGS if key in firm.settings})

    async def _change(self, ask: Ask, call: ChangeFirm) -> bool:
        try:
            value = check_setting(call.key, call.value)
        except SettingError:
            return False
        if not await self._manages(ask, call.tenant):
            self._metrics.count("owner", "refused")
            return False
        try:
            await change_settings(self._database, call.tenant, {call.key: value})
        except UnknownError:
            return False
        await publish_directory(self._database, self._wire, self._box)
        self._metrics.count("owner", "changed")
        return True

    async def _manages(self, ask: Ask, tenant: TenantId) -> bool:
        who = await self._writer(ask)
        if who is None or not _is_id(tenant):
            return False
        async with self._database.system() as connection:
            return await _manager(connection, who, tenant) is not None

    async def _writer(self, ask: Ask) -> Who | None:
        """Who wrote, on the platform's own number; on any other nobody is asked."""
        return None if self._platform(ask) is None else await self._who(ask)

    def _platform(self, ask: Ask) -> Channel | None:
        channel = self._directory.channel(ask.channel)
        return channel if channel is not None and channel.platform else None

    # -------------------------------------------------------------- inviting

    async def _invite(self, ask: Ask, call: Invite) -> Invited:
        channel, who = self._platform(ask), await self._writer(ask)
        phone = parse_phone(f"+{call.phone}")
        if channel is None or who is None or phone is None or not _is_id(call.tenant):
            return "not_yours"
        if call.role not in ("admin", "agent"):
            return "not_yours"
        async with self._database.system() as connection:
            asker = await _manager(connection, who, call.tenant)
            if asker is None:
                self._metrics.count("invitation", "refused")
                return "not_yours"
            known = await people.person_of(connection, "phone", "", phone)
            if known is not None and await people.role_in(connection, known, call.tenant) not in (
                None,
                "customer",
            ):
                return "member"
            written = await self._invitations.put(
                connection,
                call.tenant,
                phone,
                call.role,
                by=asker,
                message=uuid5(MESSAGES, f"{ask.conversation}:{ask.seq}"),
                at=moment(self._clock),
            )
        if written is None:
            return "full"
        if written.writes:
            await self._write_to(phone, written, channel)
        self._metrics.count("invitation", "sent" if written.writes else "known")
        return "sent"

    async def _write_to(self, phone: str, written: Written, channel: Channel) -> None:
        platform = self._directory.firm(channel.tenant)
        zone = ZoneInfo(platform.zone if platform is not None else "UTC")
        intent = TeamInvitation(
            business=_line(written.firm), until=written.expires_at.astimezone(zone).date()
        )
        await self._proposals.put(
            Proposal(
                id=MessageId(str(written.message)),
                channel=channel,
                to=Recipient(Sender(wa_id=phone)),
                intent=intent,
                asked_at=_ms(written.wrote_at),
                expires=_ms(written.expires_at),
                # A colleague's word: they asked for it to be sent, with a tap of theirs.
                permission=Permission("notices", f"invitation {written.message}"),
            )
        )

    # -------------------------------------------------------------- being invited

    async def _find(self, ask: Ask, call: FindInvitations) -> Invitations:
        who = await self._invitee(ask, call.phone)
        if who is None:
            return Invitations()
        if not who.phone:
            return Invitations(phone_needed=True)
        async with self._database.system() as connection:
            found = await self._standing(connection, who.phone)
        return Invitations(tuple(Invitation(each.id, each.firm, each.role) for each in found))

    async def _take(self, ask: Ask, call: AnswerInvitation) -> bool:
        who = await self._invitee(ask, call.phone)
        if who is None or not who.phone:
            return False
        try:
            async with self._database.system() as connection:
                done = await self._taken(connection, who, call)
        except DisabledError:
            done = False
        self._metrics.count(
            "invitation", "late" if not done else "accepted" if call.accept else "declined"
        )
        return done

    async def _taken(self, connection: Connection, who: Who, call: AnswerInvitation) -> bool:
        """That it ends and what it gives are one change: a second tap finds it over."""
        at = moment(self._clock)
        standing = await self._standing(connection, who.phone)
        found = next((each for each in standing if each.id == call.id), None)
        if found is None or not await self._invitations.end(
            connection, found, "accepted" if call.accept else "declined", at
        ):
            return False
        if call.accept:
            ugid = await people.enter_by_chat(
                connection, who.phone, who.bsuid, who.scope, at=at, locale=""
            )
            # Who is more already stays what they are.
            if await people.role_in(connection, ugid, found.tenant) in (None, "customer"):
                await people.set_role(connection, ugid, found.tenant, found.role, at)
        return True

    async def _standing(self, connection: Connection, phone: str) -> list[Waiting]:
        """Those that wait for a phone; what was promised by somebody who may not any more is void."""
        at = moment(self._clock)
        standing: list[Waiting] = []
        for each in await self._invitations.waiting_for(connection, phone, at):
            if await _may_manage(connection, each.invited_by, each.tenant):
                standing.append(each)
            else:
                await self._invitations.end(connection, each, "void", at)
        return standing

    async def _invitee(self, ask: Ask, shared: str) -> Who | None:
        who = await self._writer(ask)
        return who if who is None or who.phone else msgspec.structs.replace(who, phone=shared)


async def _manager(connection: Connection, who: Who, tenant: TenantId) -> Ugid | None:
    """Whoever wrote, if they may change the firm and invite."""
    ugid = await people.known_as(connection, who.phone, who.bsuid, who.scope)
    return ugid if ugid and await _may_manage(connection, ugid, tenant) else None


async def _may_manage(connection: Connection, ugid: Ugid, tenant: TenantId) -> bool:
    role = await people.role_in(connection, ugid, tenant)
    return role in MANAGERS and not await people.is_disabled(connection, ugid)


def _is_id(tenant: TenantId) -> bool:
    try:
        UUID(tenant)
    except ValueError:
        return False
    return True


def _line(name: str) -> str:
    """A firm's name as a template's variable may hold it."""
    printable = "".join(sign if sign.isprintable() else " " for sign in name)
    return " ".join(printable.split())[:LINE_MAX].rstrip()


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
