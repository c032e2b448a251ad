"""Serves the lanes `care/…`: keeps what we know of accounts, numbers and templates true, and raises alerts.

Everything here may be done twice: what is written down is what Meta said last, and an alert that is open is only
counted. What cannot be understood makes us ask Meta how things stand.
"""

from typing import Final, assert_never

import msgspec
import structlog
from msgspec.structs import replace

from flows.values.ids import ChannelId, TenantId
from handlers.care import Alert, CareItem, Change, Examine, Recovered, Trouble
from handlers.ports import (
    Again,
    Care,
    Channel,
    Clock,
    Dead,
    Directory,
    Done,
    Item,
    Outcome,
    Template,
)
from handlers.whatsapp import doctor
from handlers.whatsapp.carebook import BookDownError, CareBook
from handlers.whatsapp.changes import (
    STATUS_ALERTS,
    AccountNews,
    Ask,
    News,
    Nothing,
    NumberNews,
    TemplateNews,
    channels_meant,
    read,
    status_alert,
)
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.health import HOLDS, Health
from handlers.whatsapp.listing import list_templates, templates_of
from handlers.whatsapp.meter import Meter
from handlers.whatsapp.throughput import STANDARD, UPGRADED, per_s_of

BOOK_DOWN_MS: Final = 5_000  # PostgreSQL comes back; what Meta said waits
BACKOFF_MS: Final = 2_000
SKEW_MS: Final = (
    60_000  # Meta's clock and ours differ: what it told lately counts more than what it listed
)
TRIES_MAX: Final = 6  # then the next round asks again: two minutes of trying are enough

# Faults of ours that keep a number from sending, or from beginning to: words of `health.py`.
_HELD_BY: Final = frozenset({"token", "permission", "account_locked", "number_setup", "payment"})
_LIMITED_BY: Final = frozenset({"spam_limit", "misclassified_templates"})
_NAMED_BY_SYNC: Final = frozenset({"template_paused", "template_disabled"})
_BY_CODE: Final = frozenset({"bad_request", "template", "unknown"})

# What a whole examination shows to be well. That Meta was not understood is no illness of the number.
_EXAMINED: Final = tuple(
    finding.problem
    for finding in doctor.FINDINGS
    if finding not in (doctor.UNREACHABLE, doctor.UNKNOWN)
)
# Heard a moment ago, they may be news to the part of Meta that we ask.
_SETTLING: Final = frozenset({
    "account_deleted", "account_disabled", "account_restricted", "app_removed",
})  # fmt: skip

log = structlog.get_logger()

_decode: Final = msgspec.json.Decoder(CareItem).decode


class WhatsAppCare:
    """The handler of kind `care`."""

    def __init__(
        self,
        graph: Graph,
        *,
        directory: Directory,
        book: CareBook,
        care: Care,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._graph = graph
        self._directory = directory
        self._book = book
        self._care = care
        self._clock = clock
        self._meter = meter

    @property
    def kind(self) -> str:
        return "care"

    async def serve(self, item: Item) -> Outcome:
        try:
            what = _decode(item.body)
        except msgspec.MsgspecError:
            return Dead("unreadable")
        try:
            match what:
                case Change():
                    await self._hear(what)
                case Trouble():
                    await self._trouble(what)
                case Recovered():
                    await self._recovered(what)
                case Examine():
                    return await self._examine(what, tries=item.tries)
                case Alert():
                    await self._alert(what.tenant, what.channel, what.kind, what.about, at=what.at)
                    await self._book.publish()
                case _:
                    assert_never(what)
        except BookDownError as error:
            log.warning("care.book_down", item=item.id, error=str(error))
            return Again(BOOK_DOWN_MS, "book_down", counts=False)
        return Done()

    # -------------------------------------------------------------- what Meta said

    async def _hear(self, change: Change) -> None:
        channels = channels_meant(self._directory, change)
        if not channels:
            # It was ours when it was heard; a number that has gone since needs no care.
            self._meter.count("whatsapp_unknown_account", change.field)
            return
        news = read(change)
        self._meter.count("care_change", type(news).__name__)
        # Meta tells whole seconds: it may be as late as the end of this one. Without a time, it is news of now.
        at = change.at * 1000 + 999 if change.at else self._clock.now_ms()
        asks = await self._take_over(news, channels, at=at)
        if not isinstance(news, Nothing | Ask):
            await self._book.publish()
        for channel in channels if asks else ():
            await self._care.examine(channel)

    async def _take_over(self, news: News, channels: tuple[Channel, ...], *, at: int) -> bool:
        """Write it down; answers whether Meta has to be asked for the rest."""
        match news:
            case TemplateNews():
                asked = [
                    await self._template(channel, news, at=at) for channel in _one_each(channels)
                ]
                return any(asked)
            case NumberNews():
                return await self._number(news, channels, at=at)
            case AccountNews():
                for channel in channels:
                    await self._account(channel, news, at=at)
                return news.asks
            case Nothing():
                return False
            case Ask():
                return True
            case _:
                assert_never(news)

    async def _template(self, channel: Channel, news: TemplateNews, *, at: int) -> bool:
        about = f"{news.name} {news.locale}"
        before, after = await self._book.change_template(
            channel, (news.name, news.locale), news.news, at=at
        )
        if news.over:
            await self._book.settle(channel.tenant, None, news.over, about, at=at)
        status = news.news.get("status", "")
        if status and after is not None and after.status != status:
            # Something later is known of it already.
            return news.asks
        if news.alert:
            await self._alert(channel.tenant, None, news.alert, about, news.detail, at=at)
        return news.asks or before is None

    async def _number(self, news: NumberNews, channels: tuple[Channel, ...], *, at: int) -> bool:
        meant = channels
        if news.phone:
            meant = tuple(each for each in channels if _digits(each.display_phone) == news.phone)
            if not meant:
                self._meter.count("whatsapp_unknown_number")
                return True
        for channel in meant:
            await self._book.change_health(
                channel, lambda health: replace(health, **news.facts), at=at
            )
            if news.per_s and news.per_s != channel.throughput:
                await self._throughput(channel, news.per_s)
            await self._tell(channel, news, at=at)
        return news.asks

    async def _account(self, channel: Channel, news: AccountNews, *, at: int) -> None:
        await self._book.change_health(
            channel,
            lambda health: health.held(*news.holds).lifted(*news.lifts).limited(*news.limits),
            at=at,
        )
        await self._tell(channel, news, at=at)

    async def _tell(self, channel: Channel, news: NumberNews | AccountNews, *, at: int) -> None:
        if news.over:
            await self._book.settle(channel.tenant, channel.id, news.over, at=at)
        if news.alert:
            await self._alert(
                channel.tenant, channel.id, news.alert, news.about, news.detail, at=at
            )

    # -------------------------------------------------------------- what our own sends found out

    async def _trouble(self, trouble: Trouble) -> None:
        channel = self._directory.channel(trouble.channel)
        if channel is None:
            return
        fault = trouble.fault
        held = (fault,) if fault in _HELD_BY else ()
        limited = (fault,) if fault in _LIMITED_BY else ()
        if held or limited:
            await self._book.change_health(
                channel, lambda health: health.held(*held).limited(*limited), at=trouble.at
            )
        if fault in _NAMED_BY_SYNC:
            # The refusal does not say which one: the list does, and that raises the alert.
            await self._care.examine(channel)
            return
        # Two bugs are two alerts; a token is one, by whatever code it is refused.
        code = str(trouble.code) if trouble.code else ""
        about = code if fault in _BY_CODE else ""
        await self._alert(channel.tenant, channel.id, fault, about, code, at=trouble.at)
        await self._book.publish()
        if fault == "template":
            # Meta's view of our templates differs from ours.
            await self._care.examine(channel)

    async def _recovered(self, recovered: Recovered) -> None:
        channel = self._directory.channel(recovered.channel)
        if channel is None:
            return
        await self._book.change_health(
            channel, lambda health: health.lifted(*HOLDS), at=recovered.at
        )
        await self._book.settle(
            channel.tenant, channel.id, (*HOLDS, "token_scope"), at=recovered.at
        )
        await self._book.publish()

    # -------------------------------------------------------------- asking Meta

    async def _examine(self, examine: Examine, *, tries: int) -> Outcome:
        channel = self._directory.channel(examine.channel)
        if channel is None and await self._directory.look_again():
            # Another process has just added it.
            channel = self._directory.channel(examine.channel)
        if channel is None:
            return Done()
        known, _ = await self._book.change_health(channel, lambda health: health, at=examine.at)
        if known.checked_at >= examine.at:
            return Done()
        token = self._directory.token(channel.id)
        if not token:
            return Done()  # a number that is being set up
        now = self._clock.now_ms()
        report = await doctor.examine(self._graph, channel, token, now_ms=now)
        if doctor.UNREACHABLE in report.findings or doctor.UNKNOWN in report.findings:
            return self._later(channel, tries, "unreachable")
        await self._diagnose(channel, report, round=examine.round, at=now)
        if report.complete and self._asks_for_templates(channel):
            try:
                listed = await list_templates(self._graph, channel.waba_id, token)
            except GraphError as error:
                await self._book.publish()
                why = error.fault.name if isinstance(error, GraphFault) else "unreachable"
                return self._later(channel, tries, why)
            await self._sync(channel, templates_of(listed), as_of=now - SKEW_MS)
        await self._book.change_health(
            channel, lambda health: replace(health, checked_at=now), at=now
        )
        await self._book.publish()
        self._meter.count("care_examined", "ill" if report.findings else "well")
        return Done()

    def _later(self, channel: Channel, tries: int, why: str) -> Outcome:
        self._meter.count("care_unanswered", why)
        if tries >= TRIES_MAX:
            log.warning("care.unanswered", channel=channel.id, why=why)
            return Done()
        return Again(BACKOFF_MS << min(2 * (tries - 1), 8), why)

    def _asks_for_templates(self, channel: Channel) -> bool:
        """Several numbers of a firm share a WABA and its templates: the first that can asks for them."""
        sharing = self._directory.siblings(channel)
        able = [
            each
            for each in sharing
            if self._directory.token(each.id) and not self._directory.is_held(each.id)
        ]
        return channel.id == min(each.id for each in able or sharing)

    async def _diagnose(
        self, channel: Channel, report: doctor.Report, *, round: bool, at: int
    ) -> None:
        found = {finding.problem for finding in report.findings}
        held = {"token", "token_scope", "health_blocked"} & found
        reasons = tuple("token" if word == "token_scope" else word for word in held)

        def change(health: Health) -> Health:
            health = health.held(*reasons)
            if report.complete and not report.blocked:
                # Meta's own word is worth more than what we concluded from its refusals, or heard in the wrong order.
                health = health.lifted(*(HOLDS if round else set(HOLDS) - _SETTLING))
            if report.can_send == "AVAILABLE":
                health = replace(health, limits=())
            elif report.can_send == "LIMITED":
                health = health.limited("health_limited")
            return replace(
                health,
                quality=report.quality or health.quality,
                tier=report.tier or health.tier,
                name_status=report.name_status or health.name_status,
                token_kind=report.token_kind or health.token_kind,
                token_expires_at=report.token_expires_at,
            )

        before, after = await self._book.change_health(channel, change, at=at)
        per_s = per_s_of(report.throughput)
        # A rate that an operator has set stays, between the two that Meta grants.
        if (per_s == UPGRADED > channel.throughput) or (
            per_s == STANDARD and channel.throughput == UPGRADED
        ):
            await self._throughput(channel, per_s)
        for finding in report.findings:
            why = " ".join(report.why) if finding.problem.startswith("health_") else ""
            await self._alert(channel.tenant, channel.id, finding.problem, "", why, at=at)
        if report.complete:
            gone = [problem for problem in _EXAMINED if problem not in found]
            lifted = [word for word in before.holds if word not in after.holds]
            limits = [word for word in before.limits if word not in after.limits]
            await self._book.settle(channel.tenant, channel.id, [*gone, *lifted, *limits], at=at)

    async def _sync(self, channel: Channel, found: list[Template], *, as_of: int) -> None:
        for before, after in await self._book.replace_templates(channel, found, as_of=as_of):
            template = after or before
            assert template is not None
            about = f"{template.name} {template.locale}"
            status = "DELETED" if after is None else after.status
            if before is not None and before.status == status == "APPROVED":
                pass
            elif status == "APPROVED":
                await self._book.settle(channel.tenant, None, STATUS_ALERTS, about, at=as_of)
            elif kind := status_alert(status):
                await self._alert(channel.tenant, None, kind, about, at=as_of)
            if before is not None and after is not None and before.category != after.category:
                detail = f"{before.category.upper()} → {after.category.upper()}"
                await self._alert(
                    channel.tenant, None, "template_recategorised", about, detail, at=as_of
                )

    # -------------------------------------------------------------- telling people

    async def _throughput(self, channel: Channel, per_s: int) -> None:
        await self._book.set_throughput(channel, per_s)
        log.info("care.throughput", channel=channel.id, per_s=per_s, before=channel.throughput)

    async def _alert(
        self,
        tenant: TenantId,
        channel: ChannelId | None,
        kind: str,
        about: str,
        detail: str = "",
        *,
        at: int,
    ) -> None:
        if await self._book.raise_alert(tenant, channel, kind, about, detail=detail, at=at):
            self._meter.count("alert", kind)
            log.warning("alert.raised", tenant=tenant, channel=channel, kind=kind, about=about)


def _one_each(channels: tuple[Channel, ...]) -> list[Channel]:
    """One number of each firm and WABA: templates belong to these, not to numbers."""
    return list({(each.tenant, each.waba_id): each for each in channels}.values())


def _digits(phone: str) -> str:
    return "".join(c for c in phone if c in "0123456789")
