"""What the API does: send one message, send to many, and tell what became of it."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID, uuid4, uuid5

import msgspec
from msgspec import UNSET

from bot.api.once import Once
from bot.api.reading import Reader, permission_of
from bot.api.server import Answer, Call, Operation, Parameter, not_found
from bot.api.values import (
    RECIPIENTS_MAX,
    Accepted,
    CampaignProgress,
    CampaignRequest,
    Fates,
    MessageFate,
    Ordered,
    PermissionRequest,
    Recipient,
    SendRequest,
    Status,
    To,
)
from bot.clock import Clock
from bot.engine.campaigns import Begin, Change, ChangeTo, Plan, put_order
from bot.engine.proposals import Proposal, Proposals
from bot.lanes import Bell, Lanes
from bot.people.campaigns import (
    Addressee,
    CampaignRow,
    add_campaign,
    get_campaign,
    place_of,
    read_message_ids,
)
from bot.people.fates import Fate, read_fates
from bot.store.database import Database
from flows.intents import OrderUpdate, PriceList
from flows.values.ids import CampaignId, MessageId, TenantId
from handlers.events import Cap

CAMPAIGN_BODY_MAX: Final = 8 * 1024 * 1024  # the largest campaign with the longest links
PAGE_MAX: Final = 500
PAGE: Final = 100

_json: Final = msgspec.json.Encoder().encode

SEND_EXAMPLE: Final = SendRequest(
    to=To(phone="+56961234567"), message=OrderUpdate(name="Ana", order="1042", status="ready")
)
CAMPAIGN_EXAMPLE: Final = CampaignRequest(
    title="Precios de diciembre",
    recipients=(
        Recipient(
            to=To(phone="+56961234567"),
            message=PriceList(
                name="Ana",
                week_of=date(2026, 11, 30),
                document="https://sol.example/precios.pdf",
            ),
            permission=PermissionRequest("marketing", "web form, 2026-11-02, consent 8812"),
        ),
    ),
    per_minute=120,
)


class Operations:
    """What the routes do."""

    def __init__(
        self,
        *,
        reader: Reader,
        once: Once,
        proposals: Proposals,
        lanes: Lanes,
        bell: Bell,
        database: Database,
        clock: Clock,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._reader = reader
        self._once = once
        self._proposals = proposals
        self._lanes = lanes
        self._bell = bell
        self._database = database
        self._clock = clock
        self._new_id = new_id

    def table(self) -> tuple[Operation, ...]:
        """All routes."""
        return (
            Operation(
                method="POST",
                path="/v1/messages",
                name="sendMessage",
                summary="Send a message to one person",
                scope="messages:send",
                handle=self.send,
                body=SendRequest,
                example=SEND_EXAMPLE,
                once=True,
                answer=Accepted,
                status=202,
            ),
            Operation(
                method="GET",
                path="/v1/messages/{id}",
                name="getMessage",
                summary="What became of a message",
                scope="messages:read",
                handle=self.message,
                answer=MessageFate,
            ),
            Operation(
                method="POST",
                path="/v1/campaigns",
                name="createCampaign",
                summary="Send messages to many people, slowly",
                scope="campaigns:write",
                handle=self.begin,
                body=CampaignRequest,
                body_max=CAMPAIGN_BODY_MAX,
                example=CAMPAIGN_EXAMPLE,
                once=True,
                answer=Accepted,
                status=202,
            ),
            Operation(
                method="GET",
                path="/v1/campaigns/{id}",
                name="getCampaign",
                summary="How far a campaign has come",
                scope="campaigns:read",
                handle=self.progress,
                answer=CampaignProgress,
            ),
            Operation(
                method="GET",
                path="/v1/campaigns/{id}/messages",
                name="getCampaignMessages",
                summary="What became of a campaign's messages",
                scope="campaigns:read",
                handle=self.page,
                answer=Fates,
                parameters=(
                    Parameter("start", "Place of the first one, from 0.", 0, RECIPIENTS_MAX, 0),
                    Parameter("limit", "How many.", 1, PAGE_MAX, PAGE),
                ),
            ),
            self._change("pause", "Release nothing more until it is resumed"),
            self._change("resume", "Go on with a paused campaign"),
            self._change("cancel", "Release nothing more, ever"),
        )

    def _change(self, to: ChangeTo, summary: str) -> Operation:
        async def order(call: Call) -> Answer:
            assert call.id is not None
            row = await self._campaign(call.tenant, call.id)
            now = self._clock.now_ms()
            await put_order(self._lanes, self._bell, row.id, Change(to), asked_at=now)
            return Answer(Ordered(call.id, to), 202)

        return Operation(
            method="POST",
            path=f"/v1/campaigns/{{id}}/{to}",
            name=f"{to}Campaign",
            summary=summary,
            scope="campaigns:write",
            handle=order,
            answer=Ordered,
            status=202,
        )

    # -------------------------------------------------------------- one message

    async def send(self, call: Call) -> Answer:
        asked: SendRequest = call.body
        channel = self._reader.channel(call.tenant, asked.channel)
        [person] = await self._reader.people(channel, [(asked.to, asked.message)], [""])
        claim = await self._once.claim(
            *(call.tenant, call.once, call.path, _json(asked)),
            id=self._new_id(),
            at=self._clock.now_ms(),
        )
        await self._once.note(claim.id, call.tenant)
        await self._proposals.put(
            Proposal(
                id=MessageId(str(claim.id)),
                channel=channel,
                to=person,
                intent=asked.message,
                asked_at=claim.at,
                expires=claim.at + asked.ttl * 1000,
                locale="" if asked.locale is UNSET else asked.locale,
                waits=asked.when_closed == "wait",
                permission=permission_of(asked.permission),
            )
        )
        return Answer(Accepted(claim.id), 202, {"Location": f"/v1/messages/{claim.id}"})

    async def message(self, call: Call) -> Answer:
        assert call.id is not None
        id = MessageId(str(call.id))
        [fate] = await read_fates(self._database, call.tenant, [id])
        place = await place_of(self._database, call.tenant, id)
        if place is not None:
            campaign = await self._campaign(call.tenant, UUID(place[0]))
            return Answer(_of_campaign(id, fate, place[1], campaign))
        if fate is None:
            if not await self._once.was_accepted(call.id, call.tenant):
                raise not_found()
            return Answer(MessageFate(call.id, "accepted"))
        return Answer(_shown(fate))

    # -------------------------------------------------------------- many

    async def begin(self, call: Call) -> Answer:
        asked: CampaignRequest = call.body
        spend_max = 0 if asked.spend_max is UNSET else asked.spend_max
        channel = self._reader.channel(call.tenant, asked.channel)
        people = await self._reader.people(
            channel,
            [(one.to, one.message) for one in asked.recipients],
            [f"/recipients/{n}" for n in range(len(asked.recipients))],
        )
        claim = await self._once.claim(
            *(call.tenant, call.once, call.path, _json(asked)),
            id=self._new_id(),
            at=self._clock.now_ms(),
        )
        campaign = CampaignId(str(claim.id))
        await add_campaign(
            self._database,
            call.tenant,
            id=campaign,
            title=asked.title,
            channel=channel.id,
            per_minute=asked.per_minute,
            accepted_at=datetime.fromtimestamp(claim.at / 1000, UTC),
            recipients=[
                Addressee(
                    message=MessageId(str(uuid5(claim.id, str(n)))),
                    intent=one.message,
                    sender=person.sender,
                    contact=person.contact,
                    permission=permission_of(one.permission),
                )
                for n, (one, person) in enumerate(zip(asked.recipients, people, strict=True))
            ],
        )
        plan = Plan(
            id=campaign,
            tenant=call.tenant,
            channel=channel.id,
            size=len(people),
            per_minute=asked.per_minute,
            cap=Cap(asked.cap.messages, asked.cap.days),
            ttl_s=asked.ttl,
            asked_at=claim.at,
            spend_max=spend_max,
        )
        await put_order(self._lanes, self._bell, campaign, Begin(plan), asked_at=claim.at)
        return Answer(Accepted(claim.id), 202, {"Location": f"/v1/campaigns/{claim.id}"})

    async def progress(self, call: Call) -> Answer:
        assert call.id is not None
        row = await self._campaign(call.tenant, call.id)
        fates = await self._fates(call.tenant, row, start=0, most=row.size)
        return Answer(
            CampaignProgress(
                id=call.id,
                title=row.title,
                channel=UUID(row.channel),
                status=row.status,
                size=row.size,
                released=row.released,
                per_minute=row.per_minute,
                accepted_at=row.accepted_at,
                changed_at=row.changed_at,
                fates=_counted(fates),
                waits_for=row.waits_for,
            )
        )

    async def page(self, call: Call) -> Answer:
        assert call.id is not None
        row = await self._campaign(call.tenant, call.id)
        start, most = call.numbers["start"], call.numbers["limit"]
        fates = await self._fates(call.tenant, row, start=start, most=most)
        end = start + len(fates)
        return Answer(Fates(tuple(fates), next=end if end < row.size else UNSET))

    async def _campaign(self, tenant: TenantId, id: UUID) -> CampaignRow:
        row = await get_campaign(self._database, tenant, CampaignId(str(id)))
        if row is None:
            raise not_found()
        return row

    async def _fates(
        self, tenant: TenantId, row: CampaignRow, *, start: int, most: int
    ) -> list[MessageFate]:
        ids = await read_message_ids(self._database, tenant, row.id, start=start, most=most)
        found = await read_fates(self._database, tenant, ids)
        return [
            _of_campaign(id, fate, place, row)
            for place, (id, fate) in enumerate(zip(ids, found, strict=True), start)
        ]


def _of_campaign(id: MessageId, fate: Fate | None, place: int, row: CampaignRow) -> MessageFate:
    campaign = UUID(row.id)
    if fate is not None:
        return msgspec.structs.replace(_shown(fate), campaign=campaign)
    if row.status == "cancelled" and place >= row.released:
        return MessageFate(UUID(id), "refused", "cancelled", campaign=campaign)
    return MessageFate(UUID(id), "accepted", campaign=campaign)


def _shown(fate: Fate) -> MessageFate:
    return MessageFate(
        id=UUID(fate.id),
        status=fate.status,
        reason=fate.reason,
        form=fate.form,
        contact=UNSET if fate.contact is None else UUID(fate.contact),
        channel=UNSET if fate.channel is None else UUID(fate.channel),
        decided_at=fate.decided_at or UNSET,
        sent_at=fate.sent_at or UNSET,
        delivered_at=fate.delivered_at or UNSET,
        read_at=fate.read_at or UNSET,
        failed_at=fate.failed_at or UNSET,
    )


def _counted(fates: list[MessageFate]) -> dict[Status, int]:
    return dict(Counter(fate.status for fate in fates))
