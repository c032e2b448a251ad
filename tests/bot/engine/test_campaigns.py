"""A campaign releases its messages at its pace, in its order, and rests for whatever stands above it."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bot.clock import Clock
from bot.engine.campaigns import (
    KIND,
    Begin,
    Campaigns,
    Change,
    ChangeTo,
    Plan,
    PriceOf,
    State,
    put_order,
)
from bot.engine.journal import Journal
from bot.engine.limits import Limits
from bot.engine.proposals import Proposals
from bot.lanes import Bell, Lanes, Wire
from bot.media.folder import Folder
from bot.media.library import Library
from bot.media.links import Links
from bot.media.retention import Retention
from bot.metrics import Metrics
from bot.people.addresses import Addresses
from bot.people.campaigns import (
    Addressee,
    CampaignRow,
    add_campaign,
    get_campaign,
    read_message_ids,
)
from bot.people.directory import Directory, publish_directory
from bot.people.templates import replace_templates
from bot.people.tenants import change_settings
from bot.store.database import Database
from bot.store.secrets import Key, SecretBox
from flows.intents import PriceList
from flows.values.ids import CampaignId, ChannelId, MessageId, TenantId
from handlers.events import Cap, Proposed, Sender
from handlers.ports import Template
from tests.bot.people.conftest import BAKERY, BAKERY_CHANNEL, bakery, box, wire

__all__ = ["bakery", "box", "wire"]  # fixtures

NOON_MS = int(datetime(2026, 11, 30, 12, tzinfo=ZoneInfo("America/Santiago")).timestamp() * 1000)
HOUR_MS = 3_600_000
CAMPAIGN = CampaignId("cccccccc-1111-4111-8111-111111111111")
OFFER = PriceList(name="Ana", week_of=date(2026, 11, 30), document="https://sol.example/p.pdf")
SHARDS = 4


class Purse:
    """A budget of so many messages."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        self.asked: list[tuple[str, bool]] = []

    async def take(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> bool:
        self.asked.append((category, answers))
        self.left -= 1
        return self.left >= 0

    def give_back(
        self, tenant: TenantId, channel: ChannelId, category: str, *, answers: bool
    ) -> None:
        self.left += 1


class Stage:
    """One campaign, and a worker that is run by hand."""

    def __init__(self, database: Database, wire: Wire, directory: Directory, clock: Clock) -> None:
        self.database = database
        self.directory = directory
        self.clock = clock
        self.limits = Limits(wire, clock=clock)
        self.lanes = Lanes(wire, shards=SHARDS, clock=clock)
        self.bell = Bell(wire)
        addresses = Addresses(wire, pepper=directory.pepper, shards=SHARDS)
        self.proposals = Proposals(self.lanes, self.bell, addresses)
        self.journal = Journal(self.lanes, database)
        self.campaigns = self.made()

    def made(
        self,
        *,
        budget: Purse | None = None,
        price_of: PriceOf | None = None,
        database: Database | None = None,
        is_held: Callable[[ChannelId], str] | None = None,
    ) -> Campaigns:
        return Campaigns(
            self.lanes,
            database or self.database,
            self.proposals,
            directory=self.directory,
            limits=self.limits,
            clock=self.clock,
            metrics=Metrics(),
            budget=budget,
            price_of=price_of,
            is_held=is_held,
        )

    async def begin(self, size: int, **changes: Any) -> None:
        now = self.clock.now_ms()
        plan = Plan(
            id=CAMPAIGN,
            tenant=BAKERY.id,
            channel=BAKERY_CHANNEL.id,
            size=size,
            per_minute=600,
            cap=Cap(1, 1),
            ttl_s=3600,
            asked_at=now,
        )
        await add_campaign(
            self.database,
            BAKERY.id,
            id=CAMPAIGN,
            title="Precios",
            channel=BAKERY_CHANNEL.id,
            per_minute=600,
            accepted_at=datetime.fromtimestamp(now / 1000, UTC),
            recipients=[
                Addressee(MessageId(str(uuid4())), OFFER, Sender(wa_id=f"5696100{n:04}"))
                for n in range(size)
            ],
        )
        plan = msgspec.structs.replace(plan, **changes)
        await put_order(self.lanes, self.bell, CAMPAIGN, Begin(plan), asked_at=now)

    async def order(self, change: Change) -> None:
        await put_order(self.lanes, self.bell, CAMPAIGN, change, asked_at=self.clock.now_ms())

    async def work(self) -> None:
        """Carry the lane if it is due."""
        claimed = await self.lanes.claim(self.lanes.shard(CAMPAIGN), KIND)
        for taken in claimed.taken:
            await self.campaigns.carry(taken)

    async def pass_time(self, ms: int) -> None:
        self.clock.shift(ms)
        await self.work()

    async def row(self) -> CampaignRow:
        """As the journal told."""
        while await self.journal.drain_once():
            pass
        row = await get_campaign(self.database, BAKERY.id, CAMPAIGN)
        assert row is not None
        return row

    async def released(self) -> list[str]:
        """The phones whose conversations a message was put into."""
        found = []
        for shard in range(SHARDS):
            for taken in (await self.lanes.claim(shard, "conv", lanes=256)).taken:
                for body in taken.items:
                    found.append(msgspec.json.decode(body, type=Proposed).sender.wa_id)
                await self.lanes.retry(taken, delay_ms=0, counts=False)
        return sorted(found)


@pytest.fixture
async def stage(bakery: Database, wire: Wire, box: SecretBox) -> Stage:
    clock = Clock()
    clock.shift(NOON_MS - clock.now_ms())
    directory = Directory(bakery, wire, box)
    await directory.load()
    return Stage(bakery, wire, directory, clock)


async def test_it_releases_at_its_pace(stage: Stage) -> None:
    await stage.begin(25)

    counts = []
    for _ in range(4):
        await stage.work()
        counts.append((await stage.row()).released)
        await stage.work()  # too early for more
        stage.clock.shift(1_000)

    assert counts == [10, 20, 25, 25]
    assert len(await stage.released()) == 25
    row = await stage.row()
    assert (row.status, row.waits_for) == ("done", "")


async def test_a_release_that_is_repeated_puts_nothing_twice(stage: Stage) -> None:
    await stage.begin(10)
    [taken] = (await stage.lanes.claim(stage.lanes.shard(CAMPAIGN), KIND)).taken
    plan = msgspec.json.decode(taken.items[0], type=Begin).plan
    await stage.campaigns._go_on(State(plan))  # and then its process is killed
    stage.clock.shift(60_000)  # its lease is over

    await stage.work()

    assert len(await stage.released()) == 10


async def test_whom_an_ended_one_went_to_is_forgotten_after_a_month(
    stage: Stage, tmp_path: Path
) -> None:
    library = Library(
        stage.database,
        Folder(tmp_path / "media"),
        drafts=tmp_path / "drafts",
        links=Links((Key(id="k1", secret=bytes(32)),)),
        public_url="",
        days_of=lambda _tenant: 90,
        clock=stage.clock,
    )
    retention = Retention(stage.database, library, clock=stage.clock, metrics=Metrics())

    async def known() -> int:
        async with stage.database.tenant(BAKERY.id) as connection:
            rows = await connection.fetch("SELECT * FROM smarterbot.campaign_recipients")
        assert len(rows) == 10
        return sum("5696100" in repr(row) or "Ana" in repr(row) for row in rows)

    await stage.begin(10)
    await retention.pass_once()
    await stage.work()
    assert (await stage.row()).status == "done"
    await stage.pass_time(29 * 24 * HOUR_MS)
    await retention.pass_once()
    assert await known() == 10

    await stage.pass_time(2 * 24 * HOUR_MS)
    await retention.pass_once()

    assert await known() == 0
    assert len(await read_message_ids(stage.database, BAKERY.id, CAMPAIGN, most=20)) == 10


@pytest.mark.parametrize("change", ["pause", None])
async def test_what_is_not_over_after_a_month_is_cancelled(
    stage: Stage, change: ChangeTo | None
) -> None:
    stage.campaigns = stage.made(is_held=lambda _channel: "payment")
    await stage.begin(10)
    await stage.work()
    if change is not None:
        await stage.order(Change(change))
        await stage.work()
    assert (await stage.row()).status in ("running", "paused")

    await stage.pass_time(30 * 24 * HOUR_MS)

    row = await stage.row()
    assert (row.status, row.released) == ("cancelled", 0)


async def test_a_template_in_another_category_is_reckoned_as_meta_bills_it(
    stage: Stage, wire: Wire, box: SecretBox
) -> None:
    prices = {"marketing": Decimal("85.5"), "utility": Decimal(1)}
    stage.campaigns = stage.made(price_of=lambda _tenant, category: prices[category])
    moved = Template("lista_precios", "es_CL", status="APPROVED", category="utility")
    await replace_templates(stage.database, BAKERY.id, BAKERY_CHANNEL.waba_id, [moved], as_of=1)
    await publish_directory(stage.database, wire, box)
    await stage.directory.check()
    await stage.begin(6, spend_max=4)

    await stage.work()

    assert (await stage.row()).released == 4


async def test_it_is_paused_and_goes_on_where_it_was(stage: Stage) -> None:
    await stage.begin(30)
    await stage.work()
    await stage.order(Change("pause"))
    await stage.work()
    paused = await stage.row()
    await stage.pass_time(HOUR_MS)
    still = await stage.row()
    await stage.order(Change("resume"))
    await stage.work()

    assert (paused.status, paused.released) == ("paused", 10)
    assert (still.status, still.released) == ("paused", 10)
    row = await stage.row()
    assert (row.status, row.released) == ("running", 20)


async def test_what_was_cancelled_stays_so(stage: Stage) -> None:
    await stage.begin(30)
    await stage.work()
    await stage.order(Change("cancel"))
    await stage.work()
    await stage.order(Change("resume"))
    await stage.work()
    await stage.pass_time(HOUR_MS)

    row = await stage.row()
    assert (row.status, row.released) == ("cancelled", 10)
    assert len(await stage.released()) == 10


async def test_it_rests_in_the_firms_quiet_hours(stage: Stage, wire: Wire, box: SecretBox) -> None:
    await change_settings(stage.database, BAKERY.id, {"quiet_hours": "12:00-13:30"})
    await stage.directory._publish()
    await stage.directory.check()
    await stage.begin(5)

    await stage.work()
    resting = await stage.row()
    await stage.pass_time(HOUR_MS)
    await stage.pass_time(HOUR_MS // 2 + 1_000)

    assert (resting.released, resting.waits_for) == (0, "quiet_hours")
    assert (await stage.row()).status == "done"


async def test_it_rests_when_the_budget_is_spent(stage: Stage) -> None:
    purse = Purse(0)
    stage.campaigns = stage.made(budget=purse)
    await stage.begin(6)

    await stage.work()
    resting = await stage.row()
    purse.left = 10
    await stage.pass_time(HOUR_MS)

    assert (resting.released, resting.waits_for) == (0, "budget")
    assert set(purse.asked) == {("marketing", False)}
    assert (await stage.row()).status == "done"


async def test_it_spends_no_more_than_it_may(stage: Stage) -> None:
    stage.campaigns = stage.made(price_of=lambda _tenant, _category: Decimal("85.5"))
    await stage.begin(6, spend_max=300)

    await stage.work()
    await stage.pass_time(HOUR_MS)

    row = await stage.row()
    assert (row.status, row.released, row.waits_for) == ("running", 3, "spend_max")


async def test_it_rests_while_the_channel_is_held(stage: Stage) -> None:
    stage.campaigns = stage.made(is_held=lambda _channel: "quality")
    await stage.begin(5)

    await stage.work()

    row = await stage.row()
    assert (row.status, row.released, row.waits_for) == ("running", 0, "channel")


async def test_it_leaves_half_of_the_number_to_replies(stage: Stage) -> None:
    await stage.begin(100, per_minute=6_000)

    await stage.work()

    row = await stage.row()
    assert row.waits_for == "replies"
    assert 40 <= row.released < 80  # the bucket fills again while it is emptied
    for _ in range(BAKERY_CHANNEL.throughput // 4):
        number = f"number:{BAKERY_CHANNEL.phone_number_id}"
        assert await stage.limits.take(number, per_s=80, burst=80) == 0


async def test_it_rests_while_postgresql_is_away(stage: Stage) -> None:
    await stage.begin(5)
    async with Database.open("postgresql://nobody@/x?host=/tmp/no-such-folder") as away:
        stage.campaigns = stage.made(database=away)
        await stage.work()
    resting = await stage.row()
    stage.campaigns = stage.made()
    await stage.pass_time(10_000)

    assert (resting.released, resting.waits_for) == (0, "database")
    assert (await stage.row()).status == "done"


async def test_an_order_that_cannot_be_read_does_not_stop_the_lane_for_ever(stage: Stage) -> None:
    shard = stage.lanes.shard(CAMPAIGN)
    await stage.lanes.put(shard, f"{KIND}/{CAMPAIGN}", b"{}")
    await stage.begin(5)

    for _ in range(60):
        await stage.pass_time(HOUR_MS // 60)

    assert [letter.why for letter in await stage.lanes.dead_letters()] == ["unfit"]
    assert (await stage.row()).status == "done"


async def test_an_older_record_changes_nothing(stage: Stage) -> None:
    await stage.begin(5)
    await stage.work()
    [*lines] = [
        line
        for shard in range(SHARDS)
        for line in (await stage.lanes.read_journal(shard, 100))[1]
        if b'"campaign"' in line
    ]
    done = await stage.row()
    shard = stage.lanes.shard(CAMPAIGN)
    for line in lines[:1]:
        await stage.lanes.confirm(shard, KIND, line.replace(b'"done"', b'"running"'), [])

    assert await stage.row() == done
