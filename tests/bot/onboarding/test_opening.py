"""A firm is opened once, whole, by whoever wrote; what other systems have to do follows, or is said not to."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bot.identity import people
from bot.onboarding.parts import begin_again, tell_part
from bot.onboarding.setup import EMAIL, SetUpFirm
from bot.people.alerts import list_alerts, raise_alert
from bot.people.tenants import add_tenant, get_tenant, list_firms
from bot.settings import read_settings
from bot.store.secrets import SecretBox
from flows.calls.signup import Part
from flows.dialog.ctx import Firm
from flows.marketplace.applying import RECORD
from flows.values.ids import TenantId, Ugid
from flows.values.rut import Rut
from handlers.events import Answered
from handlers.ports import Again, Done, Outcome
from tests.bot.onboarding.conftest import (
    DAY_MS,
    KEYS,
    NUMBER,
    PLATFORM,
    RUT,
    FakeSystem,
    House,
    Somebody,
    item,
    opening,
)


async def rows(house: House, tenant: str, table: str) -> list[dict[str, Any]]:
    async with house.database.tenant(TenantId(tenant)) as connection:
        found = await connection.fetch(f"SELECT * FROM smarterbot.{table}")
    return [dict(row) for row in found]


async def owner_of(house: House, somebody: Somebody) -> Ugid:
    async with house.database.system() as connection:
        found = await people.known_as(connection, somebody.sender.wa_id, somebody.sender.bsuid, "")
    assert found is not None
    return found


async def test_a_firm_is_there_with_all_that_is_its_own(house: House) -> None:
    ana = await house.somebody(1)

    opened = await ana.opens()

    tenant = TenantId(opened["tenant"])
    found = await get_tenant(house.database, tenant)
    assert (found.firm.name, found.rut, found.firm.locale) == ("Panadería Sol", RUT, "es_CL")
    assert found.firm.settings["food"] == "yes"
    assert found.firm.settings["menu"]
    assert '"pedidos"' in found.firm.settings[RECORD]
    ugid = await owner_of(house, ana)
    async with house.database.system() as connection:
        [place] = await people.memberships_of(connection, ugid)
    assert (place.tenant, place.role) == (tenant, "owner")
    agreed = await rows(house, tenant, "agreements")
    assert sorted(
        (a["document"], a["version"], a["proof"], str(a["accepted_by"])) for a in agreed
    ) == [
        ("data_processing", "3", "wamid.data_processing", ugid),
        ("terms", "3", "wamid.terms", ugid),
    ]
    [told] = await rows(house, tenant, "signups")
    assert (told["line"], told["comuna"], told["template"]) == ("food", "05804", "pedidos")
    assert opened["demo_link"].endswith(tenant)
    assert opened["connect_link"].endswith(tenant)


async def test_its_bot_can_speak_at_once(house: House) -> None:
    opened = await (await house.somebody(1)).opens()

    firm = house.directory.firm(TenantId(opened["tenant"]))

    assert firm is not None
    assert firm.name == "Panadería Sol"


async def test_the_owner_s_e_mail_is_sealed(house: House) -> None:
    tenant = (await (await house.somebody(1)).opens())["tenant"]

    [told] = await rows(house, tenant, "signups")

    assert "sol" not in told["email"]
    box = SecretBox(read_settings({"SMARTERBOT_KEYS": KEYS}).keys)
    assert box.open(told["email"], tenant=tenant, field=EMAIL) == "ana@sol.example"


async def test_a_platform_without_systems_says_so(house: House) -> None:
    opened = await (await house.somebody(1)).opens()

    assert {part["part"]: (part["state"], part.get("reason", "")) for part in opened["parts"]} == {
        "account": ("done", ""),
        "template": ("done", ""),
        "demo": ("done", ""),
        "number": ("pending", "owner"),
        "chatwoot": ("not_connected", ""),
        "odoo": ("not_connected", ""),
        "n8n": ("not_connected", ""),
    }
    assert await house.carries() == []


async def test_a_double_tap_opens_one_firm(house: House) -> None:
    ana = await house.somebody(1)

    first, second = await asyncio.gather(ana.opens(), ana.opens())

    assert first == second == await ana.opens()
    assert len(await list_firms(house.database)) == 2  # with the platform's own
    assert len(await rows(house, first["tenant"], "agreements")) == 2


async def test_of_two_drafts_of_one_rut_one_is_a_firm(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)

    opened = await asyncio.gather(ana.opens(), bruno.opens(name="Otra"))

    assert sorted(firm is None for firm in opened) == [False, True]
    assert len(await list_firms(house.database)) == 2


async def test_whoever_lost_left_nothing_behind(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    await ana.opens()

    assert await bruno.opens(name="Otra") is None

    async with house.database.system() as connection:
        found = await people.known_as(connection, bruno.sender.wa_id, "", "")
    assert found is None


async def test_only_its_rut_makes_a_firm_taken(house: House) -> None:
    """Whatever else is there already says nothing about whose the RUT is."""
    ana = await house.somebody(1)
    signups: Any = house.signups
    id = signups._firms.id_of(ana.conversation, "wamid.1")
    await add_tenant(house.database, Firm(id, "Otra"), rut=Rut("761234560"))

    outcome = await ana.serve("OpenFirm", **opening())

    assert isinstance(outcome, Again)
    assert outcome.why == "database_down"


async def test_two_firms_of_one_person(house: House) -> None:
    ana = await house.somebody(1)
    await ana.opens()
    await ana.opens(draft="wamid.2", rut="761234560", name="Panadería Luna")

    known = await ana.asks("FindOwn")

    assert sorted(firm["name"] for firm in known["firms"]) == ["Panadería Luna", "Panadería Sol"]


async def test_who_writes_under_a_username_opens_a_firm(house: House) -> None:
    ana = await house.somebody(1, username=True)

    opened = await ana.opens()

    assert opened["role"] == "owner"
    assert [firm["name"] for firm in (await ana.asks("FindOwn"))["firms"]] == ["Panadería Sol"]


async def test_a_stranger_has_nothing(house: House) -> None:
    await (await house.somebody(1)).opens()

    assert await (await house.somebody(2)).asks("FindOwn") == {"firms": [], "joins": []}


def agreed(**changes: str) -> list[dict[str, str]]:
    return [agreement | changes for agreement in opening()["agreements"]]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rut": "60803000K"}, id="the-tax-service-s-rut"),
        pytest.param({"rut": "111111111"}, id="a-rut-that-stands-for-anybody"),
        pytest.param({"rut": "765432104"}, id="a-check-digit-that-is-another-s"),
        pytest.param({"rut": "76543210-3"}, id="a-rut-as-it-is-shown"),
        pytest.param({"rut": "9876543210"}, id="a-rut-out-of-range"),
        pytest.param({"rut": ""}, id="no-rut"),
        pytest.param({"name": " \n "}, id="no-name"),
        pytest.param({"name": " S  "}, id="a-name-of-one-letter"),
        pytest.param({"name": "S" * 61}, id="a-name-too-long"),
        pytest.param({"name": "So\0l"}, id="a-name-that-cannot-be-kept"),
        pytest.param({"comuna": "99999"}, id="a-comuna-that-is-not-there"),
        pytest.param({"comuna": "Quilpué"}, id="a-comuna-by-its-name"),
        pytest.param({"line": "piracy"}, id="a-trade-that-is-not-there"),
        pytest.param({"email": "ana@sol"}, id="no-e-mail"),
        pytest.param({"agreements": []}, id="nothing-accepted"),
        pytest.param({"agreements": agreed()[:1]}, id="one-contract-of-two"),
        pytest.param({"agreements": agreed(version=" ")}, id="no-version"),
        pytest.param({"agreements": agreed(proof="")}, id="no-proof"),
    ],
)
async def test_what_does_not_fit_opens_nothing(house: House, changes: dict[str, Any]) -> None:
    result = await (await house.somebody(1)).result("OpenFirm", **opening(**changes))

    assert result.failed == "refused"
    assert [firm.id for firm in await list_firms(house.database)] == [PLATFORM.id]


async def test_a_small_rut_opens_a_firm(house: House) -> None:
    """Of which bare digits would be taken for a body without its check digit."""
    assert (await (await house.somebody(1)).opens(rut="6123456K"))["name"] == "Panadería Sol"


async def test_a_name_is_kept_in_one_line(house: House) -> None:
    opened = await (await house.somebody(1)).opens(name="  Panadería \n Sol ")

    assert opened["name"] == "Panadería Sol"


async def test_a_contract_that_is_named_twice_is_accepted_once(house: House) -> None:
    opened = await (await house.somebody(1)).opens(agreements=agreed() * 2)

    assert len(await rows(house, opened["tenant"], "agreements")) == 2


async def test_a_template_that_is_not_there_is_told_and_costs_no_firm(house: House) -> None:
    opened = await (await house.somebody(1)).opens(template="tarot")

    assert (await house.parts(opened["tenant"]))["template"] == ("failed", "unknown")


RUTS = ("765432103", "761234560", "123456785", "960909607", "770000009", "770000017")


async def test_one_person_opens_a_few_firms_a_day(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    for n, rut in enumerate(RUTS[:5]):
        await ana.opens(draft=f"wamid.{n}", rut=rut)
    sixth = opening(draft="wamid.9", rut=RUTS[5])

    assert (await ana.result("OpenFirm", **sixth)).failed == "refused"
    assert (await ana.opens(draft="wamid.0"))["name"] == "Panadería Sol"
    house.clock.shift(DAY_MS + 1)
    assert (await ana.asks("OpenFirm", **sixth))["role"] == "owner"
    assert (await bruno.opens(rut="123123123", draft="wamid.0"))["role"] == "owner"


async def test_drafts_at_once_pass_no_limit(house: House) -> None:
    ana = await house.somebody(1)
    each = [opening(draft=f"wamid.{n}", rut=rut) for n, rut in enumerate(RUTS)]

    found = await asyncio.gather(*[ana.result("OpenFirm", **args) for args in each])

    assert sorted(result.failed or "" for result in found) == [*[""] * 5, "refused"]
    assert len(await list_firms(house.database)) == 6  # with the platform's own


async def test_a_double_tap_on_the_last_firm_of_the_day_opens_it(house: House) -> None:
    ana = await house.somebody(1)
    for n, rut in enumerate(RUTS[:4]):
        await ana.opens(draft=f"wamid.{n}", rut=rut)
    last = opening(draft="wamid.4", rut=RUTS[4])

    first, second = await asyncio.gather(ana.asks("OpenFirm", **last), ana.asks("OpenFirm", **last))

    assert first == second


@pytest.mark.parametrize(
    ("call", "args"),
    [("OpenFirm", opening()), ("FindRut", {"rut": RUT}), ("RequestJoin", {"rut": RUT})],
)
async def test_an_outage_costs_nobody_their_turn(
    house: House, call: str, args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is away for longer than there are turns in an hour."""
    ana = await house.somebody(1)
    asked = ana.asking(call, **args)

    def away(*_: object) -> Any:
        raise ConnectionRefusedError

    with monkeypatch.context() as outage:
        outage.setattr(type(house.database), "tenant", away)
        outage.setattr(type(house.database), "system", away)
        for _ in range(30):
            assert isinstance(await house.signups.serve(asked), Again)

    outcome = await house.signups.serve(asked)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.event, Answered)
    assert outcome.event.result.failed is None


async def test_a_firm_that_is_there_is_never_refused(house: House) -> None:
    """It was committed, and what follows on it could not be done for a while."""
    ana = await house.somebody(1)
    opened = await ana.opens()
    for n in range(20):
        await ana.result("FindRut", rut=RUTS[n % 6])

    assert [await ana.opens() for _ in range(10)] == [opened] * 10


# ------------------------------------------------------------------ whose a RUT is


async def test_a_rut_is_free_mine_or_taken(house: House) -> None:
    ana, bruno = await house.somebody(1), await house.somebody(2)
    assert await ana.asks("FindRut", rut=RUT) == "free"
    await ana.opens()

    assert await ana.asks("FindRut", rut=RUT) == "mine"
    assert await bruno.asks("FindRut", rut=RUT) == "taken"


async def test_nobody_finds_out_who_is_here_by_trying(house: House) -> None:
    ana = await house.somebody(1)
    for _ in range(10):
        await ana.asks("FindRut", rut=RUT)

    assert (await ana.result("FindRut", rut=RUT)).failed == "refused"
    assert (await ana.result("OpenFirm", **opening())).failed == "refused"
    assert (await ana.result("RequestJoin", rut=RUT)).failed == "refused"
    house.clock.shift(3_600_000)
    assert await ana.asks("FindRut", rut=RUT) == "free"


# ------------------------------------------------------------------ other systems


async def with_systems(house: House, **systems: FakeSystem) -> str:
    house.systems.update(systems)
    tenant: str = (await (await house.somebody(1)).opens())["tenant"]
    return tenant


async def test_a_system_that_is_there_is_set_up(house: House) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem()))
    assert (await house.parts(tenant))["odoo"] == ("pending", "")

    await house.carries()

    assert (await house.parts(tenant))["odoo"] == ("done", "")
    assert (await house.parts(tenant))["chatwoot"] == ("not_connected", "")
    new = odoo.made[tenant]
    assert (new.firm.name, new.rut, new.email, new.template) == (
        "Panadería Sol", RUT, "ana@sol.example", "pedidos",
    )  # fmt: skip


async def test_a_system_that_is_down_holds_up_nothing_else(house: House) -> None:
    tenant = await with_systems(house, odoo=FakeSystem(down=2), n8n=FakeSystem())

    await house.carries()
    assert (await house.parts(tenant))["n8n"] == ("done", "")
    assert (await house.parts(tenant))["odoo"] == ("pending", "down")
    await house.carries(tries=2)
    await house.carries(tries=3)

    assert (await house.parts(tenant))["odoo"] == ("done", "")
    assert house.raised.told == []


async def test_a_system_that_stays_down_has_failed_and_somebody_is_told(house: House) -> None:
    tenant = await with_systems(house, odoo=FakeSystem(down=99))

    await house.carries(tries=12)

    assert (await house.parts(tenant))["odoo"] == ("failed", "down")
    assert house.raised.told == [("set_up_failed", "odoo")]


@pytest.mark.parametrize("error", [KeyError("id"), ValueError("no JSON"), RuntimeError()])
async def test_a_system_that_breaks_us_is_one_that_is_down(house: House, error: Exception) -> None:
    """What its adapter did not foresee must not leave the part under way for ever."""
    tenant = await with_systems(house, odoo=(odoo := FakeSystem(breaks=error)))

    [outcome] = await house.carries()
    assert isinstance(outcome, Again)
    assert (await house.parts(tenant))["odoo"] == ("pending", "down")
    await house.carries(tries=12)

    assert (await house.parts(tenant))["odoo"] == ("failed", "down")
    assert house.raised.told == [("set_up_failed", "odoo")]
    assert odoo.asked == 2


async def test_a_system_that_takes_the_process_with_it_has_failed(house: House) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem()))

    await house.carries(tries=13)

    assert odoo.asked == 0
    assert (await house.parts(tenant))["odoo"] == ("failed", "down")


async def test_an_e_mail_that_does_not_open_any_more_fails_the_part(house: House) -> None:
    tenant = await with_systems(house, odoo=FakeSystem())
    async with house.database.tenant(TenantId(tenant)) as connection:
        await connection.execute("UPDATE smarterbot.signups SET email = 'v1:lost:AAAA'")

    await house.carries(tries=12)

    assert (await house.parts(tenant))["odoo"] == ("failed", "down")
    assert house.raised.told == [("set_up_failed", "odoo")]


async def again(house: House, tenant: str, part: Part) -> int:
    """An operator has a part tried again; answers its round."""
    found, at = TenantId(tenant), datetime.now(UTC)
    async with house.database.tenant(found) as connection:
        round_ = await begin_again(connection, found, part, at=at)
    assert round_ is not None
    return round_


async def ordered(house: House, tenant: str, part: Part, round_: int) -> Outcome:
    """An order is served, whatever the lanes know of it."""
    [handler] = house.onboarding.handlers
    order = SetUpFirm(TenantId(tenant), part, round_)
    return await handler.serve(item("setup/x", msgspec.json.encode(order)))


async def test_a_part_that_is_done_is_not_done_again(house: House) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem()))
    await house.carries()
    odoo.refuses = "quota"

    assert isinstance(await ordered(house, tenant, "odoo", 1), Done)

    assert odoo.asked == 1
    assert (await house.parts(tenant))["odoo"] == ("done", "")


async def test_an_order_of_a_round_that_is_over_does_nothing(house: House) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem(refuses="quota")))
    await house.carries()
    assert await again(house, tenant, "odoo") == 2

    assert isinstance(await ordered(house, tenant, "odoo", 1), Done)
    assert (odoo.asked, (await house.parts(tenant))["odoo"]) == (1, ("pending", ""))
    odoo.refuses = ""
    await ordered(house, tenant, "odoo", 2)

    assert (odoo.asked, (await house.parts(tenant))["odoo"]) == (2, ("done", ""))


async def test_who_is_late_writes_over_nothing(house: House) -> None:
    """A worker that lost its lease hears from the system when another one has been told that all is well."""
    tenant = await with_systems(house, odoo=(odoo := FakeSystem(refuses="quota")))
    odoo.begun, odoo.waits = asyncio.Event(), asyncio.Event()
    late = asyncio.create_task(ordered(house, tenant, "odoo", 1))
    await odoo.begun.wait()
    async with house.database.tenant(TenantId(tenant)) as connection:
        at = datetime.now(UTC)
        await tell_part(connection, TenantId(tenant), "odoo", "done", at=at)
    odoo.waits.set()

    assert isinstance(await late, Done)
    assert (await house.parts(tenant))["odoo"] == ("done", "")


async def test_the_alert_is_settled_when_the_part_is_done(house: House) -> None:
    tenant = TenantId(
        await with_systems(
            house, odoo=(odoo := FakeSystem(refuses="quota")), n8n=FakeSystem(refuses="quota")
        )
    )
    await house.carries()
    for kind, about in house.raised.told:
        await raise_alert(house.database, tenant, None, kind, about, at=house.clock.now_ms())
    odoo.refuses = ""

    await ordered(house, tenant, "odoo", await again(house, tenant, "odoo"))

    left = await list_alerts(house.database, tenant, settled=False)
    assert [(alert.kind, alert.about) for alert in left] == [("set_up_failed", "n8n")]


async def test_a_system_that_says_no_is_not_asked_again(house: House) -> None:
    tenant = await with_systems(house, chatwoot=(chatwoot := FakeSystem(refuses="quota")))

    await house.carries()
    await house.carries()

    assert (await house.parts(tenant))["chatwoot"] == ("failed", "quota")
    assert chatwoot.asked == 1


async def test_an_answer_that_is_lost_makes_nothing_twice(house: House) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem(loses=1)))

    await house.carries()
    await house.carries(tries=2)

    assert (odoo.asked, list(odoo.made)) == (2, [tenant])
    assert (await house.parts(tenant))["odoo"] == ("done", "")


async def test_a_double_tap_sets_up_each_system_once(house: House) -> None:
    house.systems["odoo"] = odoo = FakeSystem()
    ana = await house.somebody(1)
    await asyncio.gather(ana.opens(), ana.opens())

    await house.carries()
    await ana.opens()
    await house.carries()

    assert odoo.asked == 1


@pytest.mark.parametrize("step", ["publish", "first_order", "second_order"])
async def test_a_crash_in_the_middle_is_gone_on_from_when_the_call_is_repeated(
    house: House, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call stays in its lane until it was answered, so whoever takes it next does what is missing."""
    house.systems.update(odoo=(odoo := FakeSystem()), n8n=(n8n := FakeSystem()))
    ana = await house.somebody(1)
    signups: Any = house.signups
    set_ups, publish = signups._set_ups, signups._publish
    begun: list[str] = []

    class CrashError(BaseException):
        pass

    async def crashing_publish() -> None:
        raise CrashError

    async def crashing_begin(tenant: TenantId, part: Any, *, day: int) -> None:
        begun.append(part)
        if len(begun) == (1 if step == "first_order" else 2):
            raise CrashError
        await type(set_ups).begin(set_ups, tenant, part, day=day)

    if step == "publish":
        signups._publish = crashing_publish
    else:
        monkeypatch.setattr(set_ups, "begin", crashing_begin)
    with pytest.raises(CrashError):
        await ana.opens()
    signups._publish = publish
    monkeypatch.undo()

    opened = await ana.opens()
    await house.carries()

    assert len(await list_firms(house.database)) == 2
    assert (odoo.asked, n8n.asked) == (1, 1)
    parts = await house.parts(opened["tenant"])
    assert (parts["odoo"], parts["n8n"]) == (("done", ""), ("done", ""))


async def test_a_crash_between_the_system_and_our_record_is_told_under_the_same_key(
    house: House,
) -> None:
    tenant = await with_systems(house, odoo=(odoo := FakeSystem()))
    [handler] = house.onboarding.handlers

    class CrashError(BaseException):
        pass

    async def crash(*_: object) -> None:
        raise CrashError

    tell, handler._tell = handler._tell, crash  # type: ignore[attr-defined]
    with pytest.raises(CrashError):
        await house.carries()
    handler._tell = tell  # type: ignore[attr-defined]
    house.clock.shift(60_000)
    await house.carries(tries=2)

    assert (odoo.asked, list(odoo.made)) == (2, [tenant])
    assert (await house.parts(tenant))["odoo"] == ("done", "")


# ------------------------------------------------------------------ apart


@pytest.mark.parametrize("table", ["signups", "agreements", "firm_parts", "join_requests"])
async def test_another_firm_reads_nothing_of_it(house: House, table: str) -> None:
    await (await house.somebody(1)).opens()

    assert await rows(house, PLATFORM.id, table) == []
    async with house.database.system() as connection:
        assert await connection.fetch(f"SELECT * FROM smarterbot.{table}") == []


async def test_no_log_tells_the_rut_or_who_it_was(
    house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = await house.somebody(1)
    await ana.opens()
    await ana.asks("FindRut", rut=RUT)
    house.systems["odoo"] = FakeSystem(refuses="quota")
    await (await house.somebody(2)).opens(rut="123456785", draft="wamid.7")
    await house.carries()

    told = caplog.text + "".join(capsys.readouterr())
    for secret in (RUT, "123456785", "Sol", ana.sender.wa_id, "ana@"):
        assert secret not in told


def timed(house: House) -> tuple[float, float]:
    """How many openings were timed, and their seconds in all."""
    told = {
        sample.name: sample.value
        for metric in house.metrics.signup_seconds.collect()
        for sample in metric.samples
    }
    return told["smarterbot_signup_seconds_count"], told["smarterbot_signup_seconds_sum"]


async def journaled(house: House, somebody: Somebody, *turns: tuple[int, str]) -> None:
    """Turns of a conversation, as (minutes ago, state)."""
    now = house.moment()
    async with house.database.tenant(PLATFORM.id) as connection:
        await connection.execute(
            "INSERT INTO smarterbot.contacts (tenant_id, id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            *(PLATFORM.id, somebody.contact, now),
        )
        await connection.execute(
            """
            INSERT INTO smarterbot.conversations (tenant_id, id, channel_id, contact_id, turn, state, changed_at)
            VALUES ($1, $2, $3, $4, 1, '', $5)
            """,
            *(PLATFORM.id, somebody.conversation, NUMBER.id, somebody.contact, now),
        )
        for turn, (minutes, state) in enumerate(turns, 1):
            await connection.execute(
                """
                INSERT INTO smarterbot.turns (tenant_id, conversation_id, turn, at, state)
                VALUES ($1, $2, $3, $4, $5)
                """,
                *(
                    PLATFORM.id,
                    somebody.conversation,
                    turn,
                    now - timedelta(minutes=minutes),
                    state,
                ),
            )


async def test_the_time_to_a_firm_is_counted_once_from_the_first_message(house: House) -> None:
    ana = await house.somebody(1)
    await journaled(
        house,
        ana,
        (900, "signup.accept"),  # an earlier try
        (800, "platform.lobby"),
        (4, "signup.fill_in"),
        (3, "signup.accept"),
        (0, "signup.open_firm"),
    )

    await ana.opens()
    await ana.opens()

    number, seconds = timed(house)
    assert number == 1
    assert 240 <= seconds < 250


async def test_a_journal_that_is_behind_costs_the_figure_alone(house: House) -> None:
    ana = await house.somebody(1)

    assert (await ana.opens())["name"] == "Panadería Sol"

    assert timed(house) == (0, 0)


async def test_what_no_call_asks_is_set_aside(house: House) -> None:
    outcome = await (await house.somebody(1)).serve("Rob")

    assert getattr(outcome, "why", "") == "unknown_call"
