"""Care, from what Meta posts to what a send is told: the emulator on one side, real stores in between."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from msgspec.structs import replace

from bot.clock import Clock
from bot.engine.care import HELD_ROUND_MS, KIND, ROUND_MS, LaneCare
from bot.engine.service import Service
from bot.lanes import Bell, Lanes, StoreLostError, Wire
from bot.metrics import Metrics
from bot.people.alerts import list_alerts
from bot.people.care import PostgresCareBook
from bot.people.channels import add_channel
from bot.people.directory import Directory, publish_directory
from bot.people.health import get_health
from bot.people.tenants import add_tenant
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId
from handlers.care import Change
from handlers.ports import Channel, StoreDownError, Template
from handlers.whatsapp.care import WhatsAppCare
from handlers.whatsapp.codec import parse
from handlers.whatsapp.health import HOLDS
from handlers.whatsapp.mends import MENDS
from tests.bot.people.conftest import BAKERY, BAKERY_RUT, BUTCHERY, BUTCHERY_RUT
from tests.handlers.whatsapp.doubles import Counts
from tests.handlers.whatsapp.emulator.stage import JSON, NOW_MS, SOL, Stage, on_stage
from tests.handlers.whatsapp.graph_stub import graph_at

TOKEN = "EAAG-a-token-of-the-bakery"
LINE = replace(SOL, id="100001", waba_id="200001", token=TOKEN)
CHANNEL = Channel(
    id=ChannelId("0b8b7a5c-6a3d-4b0e-9c1f-2d3e4f5a6b7c"),
    tenant=BAKERY.id,
    phone_number_id=LINE.id,
    waba_id=LINE.waba_id,
    display_phone=LINE.display_phone,
    portfolio_id="300001",
)
SECOND = replace(
    CHANNEL,
    id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d"),
    phone_number_id="100002",
    display_phone="+56 2 2000 0000",
)
BUTCHER = replace(
    SECOND,
    id=ChannelId("2d0d9c7e-8c5f-4d20-9e31-4f5a6b7c8d9e"),
    tenant=BUTCHERY.id,
    phone_number_id="100003",
)
KEY = {"name": "recordatorio_hora", "language": "es_CL"}


@dataclass
class Ward:
    """One process that takes care, at the foot of Meta."""

    stage: Stage
    database: Database
    directory: Directory
    care: LaneCare
    lanes: Lanes
    service: Service
    counts: Counts
    clock: Clock
    box: SecretBox
    wire: Wire
    worked: list[str] = field(default_factory=list)

    async def posts(self, **decision: object) -> None:
        """Meta decides; the webhook is heard, and taken care of."""
        await self.stage.control("POST", f"accounts/{LINE.id}/decisions", decision)
        body = await self.stage.hears_raw()
        await self.care.hear(parse(body.raw).changes)
        await self.works()

    async def hears(self, field: str, value: object, *, at: int = NOW_MS // 1000) -> None:
        raw = msgspec.Raw(msgspec.json.encode(value))
        await self.care.hear([Change(account=LINE.waba_id, field=field, value=raw, at=at)])
        await self.works()

    async def works(self) -> None:
        """Until nothing is due."""
        busy = True
        while busy:
            busy = False
            for shard in range(self.lanes.shards):
                for taken in (await self.lanes.claim(shard, KIND, items=1)).taken:
                    busy = True
                    self.worked.append(taken.lane)
                    await self.service.carry(taken)

    async def is_examined(self, channel: Channel = CHANNEL) -> None:
        await self.care.examine(channel)
        await self.works()

    async def alerts(self) -> list[tuple[str, str, str]]:
        found = await list_alerts(self.database, BAKERY.id, settled=False)
        assert all(alert.kind in MENDS for alert in found)
        return sorted((alert.kind, alert.about, alert.detail) for alert in found)

    async def stands(self, **standing: object) -> None:
        await self.stage.control("PUT", f"accounts/{LINE.id}", standing)

    async def later(self, ms: int) -> None:
        self.clock.shift(ms)


@asynccontextmanager
async def opened(database: Database, wire: Wire, box: SecretBox) -> AsyncIterator[Ward]:
    await add_tenant(database, BAKERY, rut=BAKERY_RUT)
    await add_channel(database, box, CHANNEL, token=TOKEN)
    directory = Directory(database, wire, box)
    await directory.load()
    clock = Clock(shift_ms=NOW_MS - time.time_ns() // 1_000_000)
    metrics, counts = Metrics(), Counts()
    lanes = Lanes(wire, shards=4, clock=clock)
    care = LaneCare(lanes, Bell(wire), directory, clock=clock)
    async with on_stage(numbers=[LINE]) as stage:
        with graph_at(stage.address) as graph:
            handler = WhatsAppCare(
                graph,
                directory=directory,
                book=PostgresCareBook(database, wire, box, directory),
                care=care,
                clock=clock,
                meter=counts,
            )
            service = Service(lanes, handler, clock=clock, metrics=metrics)
            yield Ward(stage, database, directory, care, lanes, service, counts, clock, box, wire)


@pytest.fixture
async def ward(database: Database, wire: Wire, box: SecretBox) -> AsyncIterator[Ward]:
    async with opened(database, wire, box) as ward:
        yield ward


@pytest.fixture
async def known(ward: Ward) -> Ward:
    """Meta has been asked once."""
    await ward.is_examined()
    return ward


def template(ward: Ward, locale: str = "es_CL") -> Template:
    found = ward.directory.template(CHANNEL.id, "recordatorio_hora", locale)
    assert found is not None
    return found


# ------------------------------------------------------------------ templates


async def test_the_templates_of_an_account_are_fetched_page_by_page(known: Ward) -> None:
    assert template(known) == Template(
        "recordatorio_hora",
        "es_CL",
        status="APPROVED",
        category="utility",
        parameters=("nombre", "servicio", "negocio", "fecha", "hora"),
    )
    assert template(known, "en").locale == "en"
    assert known.directory.template(CHANNEL.id, "codigo_ingreso", "es_CL") is not None
    assert await known.alerts() == []


async def test_a_paused_template_is_seen_by_the_next_send_and_by_people(known: Ward) -> None:
    await known.posts(type="template", event="PAUSED", title="FIRST_PAUSE", **KEY)

    assert template(known).status == "PAUSED"
    assert template(known, "en").status == "APPROVED"
    assert await known.alerts() == [("template_paused", "recordatorio_hora es_CL", "FIRST_PAUSE")]


async def test_what_is_well_again_settles_its_alert(known: Ward) -> None:
    await known.posts(type="template", event="PAUSED", **KEY)
    await known.posts(type="template", event="APPROVED", **KEY)

    assert template(known).status == "APPROVED"
    assert await known.alerts() == []


async def test_another_category_is_known_and_told(known: Ward) -> None:
    await known.posts(type="template_category", category="MARKETING", soon=True, **KEY)
    [soon] = await known.alerts()
    before = template(known).category

    await known.posts(type="template_category", category="MARKETING", **KEY)

    assert (soon[0], before) == ("template_recategorised_soon", "utility")
    assert template(known).category == "marketing"
    assert await known.alerts() == [
        ("template_recategorised", "recordatorio_hora es_CL", "UTILITY → MARKETING")
    ]


async def test_a_template_that_we_had_not_heard_of_is_asked_for(known: Ward) -> None:
    new: JSON = {
        "name": "nueva",
        "language": "es_CL",
        "category": "UTILITY",
        "body": "Hola {{nombre}}, ya está.",
    }
    await known.stage.control("PUT", f"templates/{LINE.id}", new)

    await known.posts(type="template", name="nueva", language="es_CL", event="APPROVED")

    found = known.directory.template(CHANNEL.id, "nueva", "es_CL")
    assert found is not None
    assert found.parameters == ("nombre",)


async def test_what_no_webhook_told_is_found_at_the_next_look(known: Ward) -> None:
    waba = known.stage.emulator.world
    found = waba.template(LINE.waba_id, "recordatorio_hora", "es_CL")
    assert found is not None
    waba.put_template(LINE.waba_id, replace(found, status="DISABLED", category="MARKETING"))
    waba.remove_template(LINE.waba_id, "recordatorio_hora", "en")

    await known.is_examined()

    assert template(known).status == "DISABLED"
    assert known.directory.template(CHANNEL.id, "recordatorio_hora", "en") is None
    assert await known.alerts() == [
        ("template_deleted", "recordatorio_hora en", ""),
        ("template_disabled", "recordatorio_hora es_CL", ""),
        ("template_recategorised", "recordatorio_hora es_CL", "UTILITY → MARKETING"),
    ]


async def test_old_news_that_come_late_change_nothing(known: Ward) -> None:
    def told(event: str) -> dict[str, str]:
        return {
            "event": event,
            "message_template_name": KEY["name"],
            "message_template_language": KEY["language"],
        }

    now = known.clock.now_ms() // 1000
    await known.hears("message_template_status_update", told("PAUSED"), at=now + 60)
    await known.hears("message_template_status_update", told("DISABLED"), at=now + 30)

    assert template(known).status == "PAUSED"
    assert [kind for kind, _, _ in await known.alerts()] == ["template_paused"]


# ------------------------------------------------------------------ numbers


async def test_an_upgrade_changes_the_rate_at_once(known: Ward) -> None:
    await known.posts(type="number_quality", event="THROUGHPUT_UPGRADE")

    channel = known.directory.channel(CHANNEL.id)
    assert channel is not None
    assert channel.throughput == 1_000


async def test_a_rate_that_an_operator_set_is_left_alone(ward: Ward) -> None:
    slow = replace(SECOND, phone_number_id=LINE.id, throughput=20)
    async with ward.database.tenant(BAKERY.id) as connection:
        await connection.execute("UPDATE smarterbot.channels SET throughput = 20")
    await publish_directory(ward.database, ward.wire, ward.box)
    await ward.directory.check()

    await ward.is_examined()

    channel = ward.directory.channel(CHANNEL.id)
    assert channel is not None
    assert channel.throughput == slow.throughput


async def test_a_flagged_number_is_told_and_settles_itself(known: Ward) -> None:
    await known.posts(type="number_quality", event="FLAGGED")
    flagged = await known.alerts(), (await get_health(known.database, CHANNEL)).quality

    await known.posts(type="number_quality", event="UNFLAGGED")

    assert flagged == ([("quality", "", "FLAGGED")], "RED")
    assert (await known.alerts(), (await get_health(known.database, CHANNEL)).quality) == (
        [],
        "GREEN",
    )


async def test_news_of_one_number_leave_the_others_of_its_account_alone(known: Ward) -> None:
    await add_channel(known.database, known.box, SECOND, token="")
    await publish_directory(known.database, known.wire, known.box)
    await known.directory.check()

    await known.posts(type="number_name", decision="REJECTED", reason="UNKNOWN")

    first, second = [await get_health(known.database, each) for each in (CHANNEL, SECOND)]
    assert (first.name_status, second.name_status) == ("DECLINED", "")


# ------------------------------------------------------------------ accounts


async def test_a_disabled_account_holds_each_of_its_numbers(known: Ward) -> None:
    await add_tenant(known.database, BUTCHERY, rut=BUTCHERY_RUT)
    for channel in (SECOND, BUTCHER):
        await add_channel(known.database, known.box, channel, token="")
    await publish_directory(known.database, known.wire, known.box)
    await known.directory.check()

    await known.posts(type="account", event="DISABLED_UPDATE", ban="DISABLE")

    held = [known.directory.is_held(each.id) for each in (CHANNEL, SECOND, BUTCHER)]
    assert held == ["account_disabled"] * 3
    assert ("account_disabled", "", "DISABLE") in await known.alerts()


async def test_an_account_that_is_back_is_free_again(known: Ward) -> None:
    await known.posts(type="account", event="DISABLED_UPDATE", ban="DISABLE")
    await known.posts(type="account", event="DISABLED_UPDATE", ban="REINSTATE")

    assert known.directory.is_held(CHANNEL.id) == ""
    assert await known.alerts() == []


async def test_a_ban_that_was_heard_after_its_end_is_lifted_at_the_number_s_turn(
    known: Ward,
) -> None:
    """Webhooks overtake each other; Meta itself says that the number may send."""
    await known.hears("account_update", {"event": "ACCOUNT_DELETED"})
    held = known.directory.is_held(CHANNEL.id)

    await known.later(HELD_ROUND_MS)
    await known.care._round()
    await known.works()

    assert (held, known.directory.is_held(CHANNEL.id)) == ("account_deleted", "")


async def test_a_restricted_account_may_not_write_first(known: Ward) -> None:
    kinds = ["RESTRICTED_BIZ_INITIATED_MESSAGING"]
    await known.posts(type="account", event="ACCOUNT_RESTRICTION", restrictions=kinds)

    health = await get_health(known.database, CHANNEL)
    assert (health.holds, known.directory.is_held(CHANNEL.id)) == ((), "")
    assert "account_restricted" in health.limits


async def test_what_nobody_has_heard_of_is_told_once(known: Ward) -> None:
    for _ in range(2):
        await known.posts(type="other", field="holograms", value={"folded": True})

    assert await known.alerts() == [("unknown_field", "holograms", "")]


async def test_what_cannot_be_read_makes_us_ask(known: Ward) -> None:
    await known.stands(quality="YELLOW")

    await known.hears("phone_number_quality_update", ["?"])

    assert (await get_health(known.database, CHANNEL)).quality == "YELLOW"


# ------------------------------------------------------------------ our own sends


@pytest.mark.parametrize(
    "fault", ["token", "permission", "account_locked", "number_setup", "payment"]
)
async def test_a_send_that_is_refused_for_good_holds_the_number(known: Ward, fault: str) -> None:
    await known.care.trouble(CHANNEL.id, fault, 131042)
    await known.works()

    assert known.directory.is_held(CHANNEL.id) == fault
    assert await known.alerts() == [(fault, "", "131042")]


async def test_a_send_that_is_taken_frees_it_again(known: Ward) -> None:
    await known.care.trouble(CHANNEL.id, "payment", 131042)
    await known.works()

    await known.care.recovered(CHANNEL.id)
    await known.works()

    assert known.directory.is_held(CHANNEL.id) == ""
    assert await known.alerts() == []


async def test_the_same_refusal_is_kept_once_a_minute(known: Ward) -> None:
    known.worked.clear()
    for _ in range(50):
        await known.care.trouble(CHANNEL.id, "spam_limit", 131048)
    await known.works()

    assert len(known.worked) == 1
    assert (await get_health(known.database, CHANNEL)).limits == ("spam_limit",)


@pytest.mark.parametrize("status", ["PAUSED", "DISABLED"])
async def test_a_template_that_a_send_found_unfit_is_named_by_the_list(
    known: Ward, status: str
) -> None:
    world = known.stage.emulator.world
    found = world.template(LINE.waba_id, "recordatorio_hora", "es_CL")
    assert found is not None
    world.put_template(LINE.waba_id, replace(found, status=status))

    await known.care.trouble(CHANNEL.id, f"template_{status.lower()}", 132015)
    await known.works()

    assert template(known).status == status
    assert await known.alerts() == [(f"template_{status.lower()}", "recordatorio_hora es_CL", "")]


async def test_a_bug_of_ours_is_an_alert_for_each_code(known: Ward) -> None:
    for code in (100, 131009, 100):
        await known.care.trouble(CHANNEL.id, "bad_request", code)
    await known.works()
    await known.is_examined()

    assert await known.alerts() == [
        ("bad_request", "100", "100"),
        ("bad_request", "131009", "131009"),
    ]


async def test_every_word_for_a_hold_has_a_mend() -> None:
    assert set(HOLDS) <= set(MENDS)


# ------------------------------------------------------------------ asking Meta


async def test_a_token_that_is_none_any_more_holds_the_number_until_it_is_one(
    known: Ward,
) -> None:
    await known.stands(token_valid=False)
    await known.is_examined()
    held, alerts = known.directory.is_held(CHANNEL.id), await known.alerts()

    await known.stands(token_valid=True)
    await known.is_examined()

    assert (held, alerts) == ("token", [("token", "", "")])
    assert (known.directory.is_held(CHANNEL.id), await known.alerts()) == ("", [])


async def test_what_the_doctor_finds_is_told(known: Ward) -> None:
    end = known.clock.now_ms() // 1000 + 86_400
    await known.stands(
        token_kind="USER", token_expires_at=end, subscribed=False, quality="YELLOW", unpaid=True
    )

    await known.is_examined()

    health = await get_health(known.database, CHANNEL)
    assert [kind for kind, _, _ in await known.alerts()] == [
        "health_blocked",
        "not_subscribed",
        "quality",
        "token_expires",
        "token_kind",
    ]
    assert ("health_blocked", "", "BUSINESS 141006") in await known.alerts()
    assert (health.token_kind, health.token_expires_at) == ("USER", end * 1000)
    assert (health.tier, health.quality) == ("TIER_2K", "YELLOW")


async def test_who_was_examined_since_is_not_examined_again(known: Ward) -> None:
    for _ in range(5):
        await known.care.examine(CHANNEL)
    known.counts.counted.clear()

    await known.works()

    assert known.counts.counted["care_examined", "well"] == 1


async def test_each_number_has_its_turn_every_few_hours(known: Ward) -> None:
    known.counts.counted.clear()
    for _ in range(4):
        await known.care._round()
        await known.works()
        await known.later(ROUND_MS // 2)

    assert 2 <= known.counts.counted["care_examined", "well"] <= 3


async def test_while_meta_stumbles_it_is_asked_again(known: Ward) -> None:
    await known.stands(quality="RED", away=True)

    await known.is_examined()
    first = (await get_health(known.database, CHANNEL)).quality
    await known.stands(away=False)
    await known.later(60_000)
    await known.works()

    assert (first, (await get_health(known.database, CHANNEL)).quality) == ("GREEN", "RED")


# ------------------------------------------------------------------ durable, and once


async def test_a_change_that_meta_repeats_is_taken_once(known: Ward) -> None:
    known.worked.clear()
    decision: JSON = {"type": "other", "field": "holograms", "value": {"a": 1}}
    await known.stage.control("POST", f"accounts/{LINE.id}/decisions", decision)
    body = (await known.stage.hears_raw()).raw

    for _ in range(3):
        await known.care.hear(parse(body).changes)
    await known.works()

    assert known.worked == [f"care/{LINE.waba_id}"]


async def test_without_a_time_of_meta_s_the_same_words_may_be_news_again(known: Ward) -> None:
    known.worked.clear()
    for _ in range(2):
        await known.hears("holograms", {"a": 1}, at=0)

    assert len(known.worked) == 2


async def test_news_wait_while_postgresql_is_away(
    known: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "event": "PAUSED",
        "message_template_name": KEY["name"],
        "message_template_language": KEY["language"],
    }
    transaction = Database._transaction

    def away(*_: object) -> object:
        raise ConnectionRefusedError

    monkeypatch.setattr(Database, "_transaction", away)
    await known.hears("message_template_status_update", body, at=known.clock.now_ms() // 1000 + 1)
    during = template(known).status
    monkeypatch.setattr(Database, "_transaction", transaction)
    await known.later(10_000)
    await known.works()

    assert (during, template(known).status) == ("APPROVED", "PAUSED")


async def test_without_the_store_nothing_is_acknowledged(known: Ward) -> None:
    await known.wire.close()

    with pytest.raises(StoreDownError):
        await known.hears("account_update", {"event": "ACCOUNT_DELETED"})
    with pytest.raises(StoreLostError):
        await known.works()


async def test_the_account_of_nobody_is_no_lane(known: Ward) -> None:
    known.worked.clear()
    await known.care.hear([Change(account="404", field="account_update", value=msgspec.Raw(b"{}"))])
    await known.works()

    assert known.worked == []


async def test_anybody_may_raise_an_alert_without_waiting_for_postgresql(known: Ward) -> None:
    await known.care.raise_(BAKERY.id, None, "unknown_field", "x")
    before = await known.alerts()

    await known.works()

    assert before == []
    assert await known.alerts() == [("unknown_field", "x", "")]
    assert known.directory.open_alerts() == {"unknown_field": 1}
