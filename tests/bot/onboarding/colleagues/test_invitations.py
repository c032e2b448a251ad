"""Invitations: who may send them, who can take them, and when they hold no more."""

import asyncio
from datetime import date, timedelta
from uuid import uuid5

import asyncpg
import pytest

from bot.identity import people
from bot.onboarding.invitations import TeamInvitations
from bot.onboarding.owner import MESSAGES
from bot.people.tenants import add_tenant
from bot.store.secrets import SecretBox
from flows.calls.owner import INVITED_MAX
from flows.dialog.ctx import Firm
from flows.intents import TeamInvitation
from flows.values.ids import TenantId
from flows.values.rut import Rut
from handlers.events import Permission, Sender
from tests.bot.identity.conftest import number
from tests.bot.onboarding.colleagues.conftest import LUNA, NORTE, Somebody, Town
from tests.bot.people.conftest import BAKERY_CHANNEL

DAY = 86_400


async def invites(
    who: Somebody,
    phone: str,
    role: str = "agent",
    tenant: TenantId = LUNA.id,
    *,
    again: bool = False,
) -> str:
    told: str = await who.asks("Invite", again=again, tenant=tenant, phone=phone, role=role)
    return told


async def finds(who: Somebody, phone: str = "") -> list[dict[str, str]]:
    found = await who.asks("FindInvitations", phone=phone)
    waiting: list[dict[str, str]] = found["waiting"]
    return waiting


async def answers(who: Somebody, id: str, *, accept: bool = True, phone: str = "") -> bool:
    done: bool = await who.asks("AnswerInvitation", id=id, accept=accept, phone=phone)
    return done


async def outbox(town: Town, ugid: str) -> list[str]:
    """What others are to be told of a person."""
    async with town.house.database.system() as connection:
        lines = await connection.fetch("SELECT * FROM smarterbot.identity_outbox_waiting(1000)")
    return [line["type"] for line in lines if str(line["ugid"]) == ugid]


# ------------------------------------------------------------------ sending


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_a_colleague_is_written_to_on_the_platforms_number(
    town: Town, role: people.Role
) -> None:
    ana = await town.somebody(1, luna=role)

    assert await invites(ana, number(2), "admin") == "sent"

    [message] = await town.messages()
    until = (town.now + timedelta(days=7)).date()
    assert isinstance(message.intent, TeamInvitation)
    assert message.intent.business == "Carnes Luna"
    assert abs(message.intent.until - until) <= timedelta(days=1)
    assert message.sender == Sender(wa_id=number(2))
    assert message.permission == Permission("notices", f"invitation {message.id}")
    assert message.channel == BAKERY_CHANNEL.id


async def test_after_a_crash_the_same_invitation_is_sent_once(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)

    assert await invites(ana, ben.phone) == "sent"
    assert await invites(ana, ben.phone, again=True) == "sent"

    assert len(await town.messages()) == 1
    assert len(await finds(ben)) == 1


async def test_what_was_written_down_and_not_sent_is_sent_when_it_is_asked_again(
    town: Town,
) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    assert ana.ugid is not None
    ana.asked = 1  # its turn asked, and the process ended between the two
    rows = TeamInvitations(SecretBox(town.house.settings.keys), town.house.directory.pepper)
    async with town.house.database.system() as connection:
        await rows.put(
            connection, LUNA.id, ben.phone, "agent",
            by=ana.ugid, message=uuid5(MESSAGES, f"{ana.chat}:1"), at=town.now,
        )  # fmt: skip
    assert await town.messages() == []

    assert await invites(ana, ben.phone, again=True) == "sent"

    assert len(await town.messages()) == 1
    assert len(await finds(ben)) == 1


async def test_somebody_invited_again_has_one_invitation_and_one_message_a_day(
    town: Town,
) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone, "agent")

    assert await invites(ana, ben.phone, "admin") == "sent"
    assert len(await town.messages()) == 1
    [found] = await finds(ben)
    assert found["role"] == "admin"
    town.house.passes(DAY)
    assert await invites(ana, ben.phone, "admin") == "sent"
    assert len(await town.messages()) == 2
    assert len(await finds(ben)) == 1


async def test_who_belongs_already_is_not_invited(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    ben = await town.somebody(2, luna="agent")

    assert await invites(ana, ben.phone) == "member"
    assert await invites(ana, ana.phone) == "member"
    assert await town.messages() == []


async def test_a_customer_or_somebody_who_left_can_be_invited(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    ben = await town.somebody(2, luna="customer")
    eva = await town.somebody(3, luna="agent")
    await town.is_(eva.phone, LUNA.id, None)

    assert await invites(ana, ben.phone) == "sent"
    assert await invites(ana, eva.phone) == "sent"
    for each in (ben, eva):
        [found] = await finds(each)
        assert await answers(each, found["id"]) is True
        assert await each.role(LUNA.id) == "agent"


async def test_so_many_wait_at_once_and_no_more(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    for n in range(INVITED_MAX - 1):
        assert await invites(ana, number(100 + n)) == "sent"
    assert await invites(ana, ben.phone) == "sent"

    assert await invites(ana, number(99)) == "full"
    assert await invites(ana, ben.phone, "admin") == "sent"  # who waits already takes no place
    [found] = await finds(ben)
    await answers(ben, found["id"], accept=False)
    assert await invites(ana, number(99)) == "sent"
    assert await invites(ana, number(98)) == "full"
    town.house.passes(7 * DAY)
    assert await invites(ana, number(98)) == "sent"


async def test_the_last_place_is_given_once(town: Town) -> None:
    ana, eva = await town.somebody(1, luna="owner"), await town.somebody(2, luna="admin")
    for n in range(INVITED_MAX - 1):
        await invites(ana, number(100 + n))

    told = await asyncio.gather(invites(ana, number(98)), invites(eva, number(99)))

    assert sorted(told) == ["full", "sent"]


# ------------------------------------------------------------------ who may not send


@pytest.mark.parametrize("role", ["agent", "customer"])
async def test_only_who_manages_a_firm_invites(town: Town, role: people.Role) -> None:
    luz = await town.somebody(1, luna=role)

    assert await invites(luz, number(2)) == "not_yours"
    assert await town.messages() == []


async def test_nobody_invites_into_a_firm_of_others(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await invites(ana, number(2), tenant=NORTE.id) == "not_yours"
    assert await invites(ana, number(2), tenant=TenantId("x")) == "not_yours"


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_nobody_is_made_an_owner(town: Town, role: people.Role) -> None:
    ana = await town.somebody(1, luna=role)

    assert await invites(ana, number(2), "owner") == "not_yours"
    assert await town.messages() == []


async def test_who_was_shown_out_invites_nobody(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    await town.is_(ana.phone, LUNA.id, None)

    assert await invites(ana, number(2)) == "not_yours"


@pytest.mark.parametrize("phone", ["", "12", "hola", "5696123456789012345"])
async def test_what_is_no_phone_is_not_written_to(town: Town, phone: str) -> None:
    ana = await town.somebody(1, luna="owner")

    assert await invites(ana, phone) == "not_yours"
    assert await town.messages() == []


# ------------------------------------------------------------------ taking


@pytest.mark.parametrize("role", ["admin", "agent"])
async def test_whoever_was_invited_comes_in_with_a_tap(town: Town, role: str) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone, role)

    [found] = await finds(ben)
    assert found == {"id": found["id"], "firm": "Carnes Luna", "role": role}
    assert await answers(ben, found["id"]) is True

    assert await ben.role(LUNA.id) == role
    assert await ben.role(NORTE.id) is None
    assert await finds(ben) == []


async def test_those_who_are_told_of_people_hear_of_it(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone)
    [found] = await finds(ben)

    await answers(ben, found["id"])

    async with town.house.database.system() as connection:
        ugid = await people.person_of(connection, "phone", "", ben.phone)
    assert ugid is not None
    assert await outbox(town, ugid) == ["person.created", "identity.linked", "membership.changed"]


async def test_a_second_tap_does_nothing(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone)
    [found] = await finds(ben)

    told = await asyncio.gather(answers(ben, found["id"]), answers(ben, found["id"]))
    assert sorted(told) == [False, True]
    assert await answers(ben, found["id"], accept=False) is False
    assert await ben.role(LUNA.id) == "agent"
    await town.is_(ben.phone, LUNA.id, None)
    assert await answers(ben, found["id"]) is False
    assert await ben.role(LUNA.id) is None


async def test_who_declines_stays_out(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone)
    [found] = await finds(ben)

    assert await answers(ben, found["id"], accept=False) is True
    assert await answers(ben, found["id"]) is False
    assert await ben.role(LUNA.id) is None


async def test_who_is_more_already_stays_what_they_are(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone, "agent")
    [found] = await finds(ben)
    await town.is_(ben.phone, LUNA.id, "owner")

    assert await answers(ben, found["id"]) is True
    assert await ben.role(LUNA.id) == "owner"


async def test_several_firms_may_wait_for_one_phone(town: Town) -> None:
    ana, eva = await town.somebody(1, luna="owner"), await town.somebody(2, norte="owner")
    ben = await town.somebody(3)
    await invites(ana, ben.phone)
    await invites(eva, ben.phone, "admin", NORTE.id)

    found = await finds(ben)
    assert [each["firm"] for each in found] == ["Carnes Luna", "Peluquería Norte"]
    assert await answers(ben, found[1]["id"]) is True
    assert (await ben.role(LUNA.id), await ben.role(NORTE.id)) == (None, "admin")
    assert [each["firm"] for each in await finds(ben)] == ["Carnes Luna"]


# ------------------------------------------------------------------ who cannot take it


async def test_the_message_is_of_no_use_to_another_phone(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    eve = await town.somebody(3)
    await invites(ana, ben.phone)
    [found] = await finds(ben)

    assert await finds(eve) == []
    assert await answers(eve, found["id"]) is False
    # A flow's word for the phone counts for nothing where WhatsApp has told it.
    assert await finds(eve, phone=ben.phone) == []
    assert await answers(eve, found["id"], phone=ben.phone) is False
    assert await eve.role(LUNA.id) is None
    assert await answers(ben, found["id"]) is True


async def test_who_writes_under_a_username_shares_their_phone(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    ben = await town.somebody(2, phone=False, bsuid="CL.ABC123")
    await invites(ana, ben.phone)

    assert (await ben.asks("FindInvitations"))["phone_needed"] is True
    [found] = await finds(ben, phone=ben.phone)
    assert await answers(ben, found["id"]) is False
    assert await answers(ben, found["id"], phone=ben.phone) is True

    assert await ben.role(LUNA.id) == "agent"
    async with town.house.database.system() as connection:
        known = await people.known_as(connection, "", "CL.ABC123", BAKERY_CHANNEL.portfolio_id)
        assert known == await people.person_of(connection, "phone", "", ben.phone)


async def test_it_is_over_after_seven_days(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone)
    [found] = await finds(ben)
    town.house.passes(7 * DAY - 60)
    assert await finds(ben) == [found]

    town.house.passes(60)
    assert await finds(ben) == []
    assert await answers(ben, found["id"]) is False


@pytest.mark.parametrize("role", ["agent", "customer", None])
async def test_who_may_invite_no_more_has_invited_nobody(
    town: Town, role: people.Role | None
) -> None:
    ana, ben = await town.somebody(1, luna="admin"), await town.somebody(2)
    await invites(ana, ben.phone)
    [found] = await finds(ben)
    await town.is_(ana.phone, LUNA.id, role)

    assert await answers(ben, found["id"]) is False
    assert await ben.role(LUNA.id) is None
    # Nor does it come back to life with them.
    await town.is_(ana.phone, LUNA.id, "owner")
    assert await finds(ben) == []


async def test_who_may_not_log_in_is_not_let_in_and_loses_nothing(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2, norte="customer")
    await invites(ana, ben.phone)
    [found] = await finds(ben)
    assert ben.ugid is not None
    async with town.house.database.system() as connection:
        await people.disable(connection, ben.ugid, town.now)

    assert await answers(ben, found["id"]) is False
    assert await ben.role(LUNA.id) is None
    assert len(await finds(ben)) == 1


@pytest.mark.parametrize("id", ["", "x", "00000000-0000-4000-8000-000000000000"])
async def test_an_id_that_is_none_opens_nothing(town: Town, id: str) -> None:
    ben = await town.somebody(2)

    assert await answers(ben, id) is False


# ------------------------------------------------------------------ what is kept


async def test_phones_lie_sealed_and_go_when_it_is_over(town: Town) -> None:
    ana, ben = await town.somebody(1, luna="owner"), await town.somebody(2)
    await invites(ana, ben.phone)
    await invites(ana, number(3))

    async with town.house.database.tenant(LUNA.id) as connection:
        rows = await connection.fetch(
            "SELECT *, invitations::text AS whole FROM smarterbot.invitations"
        )
    assert len(rows) == 2
    assert not any(phone[-8:] in row["whole"] for row in rows for phone in (ben.phone, number(3)))
    assert len({bytes(row["phone_hash"]) for row in rows}) == 2

    [found] = await finds(ben)
    await answers(ben, found["id"])
    town.house.passes(7 * DAY)
    async with town.house.database.system() as connection:
        assert await connection.fetchval("SELECT smarterbot.expire_invitations($1)", town.now) == 1
    async with town.house.database.tenant(LUNA.id) as connection:
        left = await connection.fetch("SELECT state, phone, phone_hash FROM smarterbot.invitations")
    assert {(row["state"], row["phone"], row["phone_hash"]) for row in left} == {
        ("accepted", None, None),
        ("expired", None, None),
    }


async def test_a_firms_invitations_are_seen_by_it_alone(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    await invites(ana, number(2))

    count = "SELECT count(*) FROM smarterbot.invitations"
    async with town.house.database.tenant(NORTE.id) as connection:
        assert await connection.fetchval(count) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                """
                INSERT INTO smarterbot.invitations
                  (tenant_id, role, invited_by, phone_hash, phone, message, wrote_at, created_at, expires_at)
                VALUES ($1, 'admin', $2, $3, 'x', gen_random_uuid(), now(), now(), now() + interval '7 days')
                """,
                LUNA.id,
                ana.ugid,
                bytes(32),
            )
    async with town.house.database.system() as connection:
        assert await connection.fetchval(count) == 0


async def test_no_row_makes_an_owner(town: Town) -> None:
    ana = await town.somebody(1, luna="owner")
    await invites(ana, number(2))

    async with town.house.database.tenant(LUNA.id) as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE smarterbot.invitations SET role = 'owner'")


async def test_a_firms_name_that_a_template_cannot_hold_is_made_to_fit(town: Town) -> None:
    odd = Firm(
        id=TenantId("c9bf9e57-1685-4c89-bafb-ff5af830be8a"), name="Luz\n    y\tSombra " + "x" * 80
    )
    await add_tenant(town.house.database, odd, rut=Rut("781234560"))
    ana = await town.somebody(1)
    await town.is_(ana.phone, odd.id, "owner")

    assert await invites(ana, number(2), tenant=odd.id) == "sent"

    [message] = await town.messages()  # it was read by the API's own rules
    assert isinstance(message.intent, TeamInvitation)
    assert message.intent.business.startswith("Luz y Sombra xxx")
    assert isinstance(message.intent.until, date)
