"""What Meta's window gave becomes a channel of the firm, or nothing does: over real HTTP, with Meta on the other side."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.onboarding.connect import LIFE_MS
from bot.people.channels import open_token
from bot.people.registrations import PostgresPins
from bot.store.database import Database
from handlers.whatsapp.client import Graph
from handlers.whatsapp.emulator.signups import PIN
from handlers.whatsapp.http import Origin
from handlers.whatsapp.registration import register
from tests.whole.conftest import SECRET, Whole, whole_server
from tests.whole.connecting import (
    BOX,
    LUNA,
    Owner,
    channels_of,
    chooses,
    hears,
    number_of,
    own_of,
    part_of,
    pin_of,
    with_luna,
    writes,
)
from tests.whole.people import until


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port) as whole:
        await with_luna(whole)
        yield whole


@pytest.fixture
async def owner(whole: Whole) -> Owner:
    return await own_of(whole)


def standing(whole: Whole, id: str) -> Any:
    return whole.emulator.accounts.standing(id)  # type: ignore[arg-type]


# ------------------------------------------------------------------ it works


async def test_a_new_number_is_a_channel_and_its_bot_answers(whole: Whole, owner: Owner) -> None:
    assert (await owner.stands()) == {
        "firm": LUNA.name, "state": "open", "step": "", "reason": "", "number": "", "coexistence": False,
    }  # fmt: skip
    finished = chooses(whole, display_phone="+56 9 5111 2222")

    reply = await owner.gives(finished)

    assert (reply.status, reply.body["state"]) == (202, "pending")
    stands = await owner.comes("done")
    assert await part_of(whole) == ("done", "")
    assert (stands["number"], stands["coexistence"]) == ("+56 9 5111 2222", False)
    number = number_of(whole, finished)
    [sealed] = await channels_of(whole)
    assert sealed.channel.phone_number_id == number.id
    assert sealed.channel.waba_id == number.waba_id
    assert sealed.channel.portfolio_id == number.portfolio_id
    assert not sealed.channel.platform
    assert open_token(BOX, sealed) == number.token
    now = standing(whole, number.id)
    assert now.subscribed
    assert now.registered
    # Only we know the PIN, and we know it.
    assert now.pin == await pin_of(whole, sealed)
    assert len(now.pin) == 6

    person = await writes(whole, number.id, "hola")

    async def answered() -> bool:
        return "Luna" in " ".join(await hears(whole, number.id, person))

    await until(answered, within_s=15, what="the firm's own bot")


async def test_a_number_of_the_app_is_not_registered_and_asked_for_its_data(
    whole: Whole, owner: Owner
) -> None:
    finished = chooses(whole, "app")
    assert "phone_number_id" not in finished.data  # Meta tells only the account

    assert (await owner.gives(finished)).status == 202

    assert (await owner.comes("done"))["coexistence"] is True
    number = number_of(whole, finished)
    [sealed] = await channels_of(whole)
    assert sealed.channel.phone_number_id == number.id
    assert await pin_of(whole, sealed) == ""
    assert standing(whole, number.id).subscribed
    assert whole.emulator.signups.synced == {
        (number.id, "smb_app_state_sync"),
        (number.id, "history"),
    }


async def test_whether_a_number_stays_in_the_app_is_for_meta_to_say(
    whole: Whole, owner: Owner
) -> None:
    finished = chooses(whole)

    await owner.gives(finished, coexistence=True)

    assert (await owner.comes("done"))["coexistence"] is False
    assert standing(whole, number_of(whole, finished).id).registered


async def test_ids_that_the_browser_never_heard_are_found(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole)

    reply = await owner.gives(finished, waba_id="", phone_number_id="")

    assert reply.status == 202
    await owner.comes("done")


async def test_a_firm_connects_its_number_anew(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole)
    await owner.gives(finished)
    await owner.comes("done")
    [before] = await channels_of(whole)
    pin = await pin_of(whole, before)
    number = number_of(whole, finished)

    later = await own_of(whole)
    signups = whole.emulator.signups
    again = chooses(whole, "taken", number=number.id)
    token = signups.last_token()
    whole.emulator.world.numbers[number.id] = _with_token(number, token)
    assert (await later.gives(again)).status == 202

    await later.comes("done")
    [after] = await channels_of(whole)
    assert after.channel == before.channel
    assert open_token(BOX, after) == token
    assert await pin_of(whole, after) == pin


def _with_token(number: Any, token: str) -> Any:
    from msgspec.structs import replace

    return replace(number, token=token)


# ------------------------------------------------------------------ tickets


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda ticket: "", id="none"),
        pytest.param(lambda ticket: "x", id="a-letter"),
        pytest.param(lambda ticket: ticket[:-4], id="cut"),
        pytest.param(lambda ticket: ticket[:-8] + "AAAA" + ticket[-4:], id="changed"),
        pytest.param(lambda ticket: ticket.partition(".")[2], id="without-its-firm"),
        pytest.param(lambda ticket: f"é.{ticket}", id="not-ascii"),
    ],
)
async def test_a_ticket_that_is_none_opens_nothing(whole: Whole, owner: Owner, spoil: Any) -> None:
    ticket = spoil(owner.ticket)

    for path in ("status", "again"):
        reply = await owner.asks(path, ticket=ticket)
        assert reply.status in (403, 422)
    reply = await owner.gives(chooses(whole), ticket=ticket)
    assert reply.status in (403, 422)
    assert await channels_of(whole) == []


async def test_a_ticket_moved_to_another_firm_opens_nothing(whole: Whole, owner: Owner) -> None:
    [demo] = [firm for firm in whole.server.directory.firms() if firm.id != LUNA.id]
    moved = f"{UUID(demo.id).hex}.{owner.ticket.partition('.')[2]}"

    reply = await owner.gives(chooses(whole), ticket=moved)

    assert (reply.status, reply.problem) == (403, "ticket")
    assert len(await channels_of(whole, demo.id)) == 1


@pytest.mark.parametrize("role", [None, "customer", "agent"])
async def test_who_does_not_run_the_firm_connects_nothing(whole: Whole, role: Any) -> None:
    somebody = await own_of(whole, role)

    reply = await somebody.gives(chooses(whole))

    assert (reply.status, reply.problem) == (403, "no_member")
    assert await channels_of(whole) == []


async def test_a_ticket_is_good_for_one_connection(whole: Whole, owner: Owner) -> None:
    await owner.gives(chooses(whole))
    await owner.comes("done")

    reply = await owner.gives(chooses(whole))

    assert (reply.status, reply.problem) == (409, "used")
    assert len(await channels_of(whole)) == 1
    assert (await owner.asks("again")).body["state"] == "done"


async def test_of_two_that_come_at_once_one_connects(whole: Whole, owner: Owner) -> None:
    replies = await asyncio.gather(*(owner.gives(chooses(whole)) for _ in range(6)))

    assert sorted(reply.status for reply in replies) == [202, *[409] * 5]
    assert len(await channels_of(whole)) == 1


async def test_a_late_ticket_says_so(stores: Stores, tmp_path: Path, free_port: int) -> None:
    clock = Clock()
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        await with_luna(whole)
        owner = await own_of(whole)
        clock.shift(LIFE_MS - 60_000)
        assert (await owner.asks("status")).status == 200
        clock.shift(60_000)

        replies = [await owner.asks("status"), await owner.gives(chooses(whole))]

        assert [(reply.status, reply.problem) for reply in replies] == [(410, "late")] * 2
        assert await channels_of(whole) == []


async def test_nobody_tries_for_ever(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole)
    statuses = [(await owner.gives(finished, code="no code of Meta's")).status for _ in range(25)]

    assert statuses[0] == 409
    assert statuses[-1] == 429


async def test_a_platform_without_an_app_says_so(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    environment = {"META_APP_ID": "", "META_CONFIG_ID": ""}
    async with whole_server(stores, tmp_path, free_port, environment=environment) as whole:
        await with_luna(whole)
        owner = await own_of(whole)

        assert owner.link == ""
        url = f"{whole.server.address}/connect/status"
        async with whole.http.post(url, json={"ticket": "x"}) as answer:
            assert answer.status == 404
            assert (await answer.json())["type"].endswith(":cannot")


# ------------------------------------------------------------------ what the browser says is not believed


async def test_another_account_is_not_taken_on_the_browsers_word(
    whole: Whole, owner: Owner
) -> None:
    mine, theirs = chooses(whole), chooses(whole)

    for forged in (
        {"waba_id": theirs.data["waba_id"]},
        {"waba_id": NUMBER.waba_id, "phone_number_id": NUMBER.id},
    ):
        reply = await owner.gives(mine, **forged)
        assert (reply.status, reply.problem) == (409, "account")
        mine = chooses(whole)
    assert await channels_of(whole) == []


async def test_a_number_of_another_account_is_not_taken(whole: Whole, owner: Owner) -> None:
    theirs = chooses(whole)

    for number in (theirs.data["phone_number_id"], NUMBER.id, "404"):
        reply = await owner.gives(chooses(whole), phone_number_id=number)
        assert (reply.status, reply.problem) == (409, "number")
    assert await channels_of(whole) == []


async def test_ids_that_are_none_go_nowhere(whole: Whole, owner: Owner) -> None:
    for forged in ("../1", "1?access_token=x", "1/messages", "<b>", "1" * 33):
        reply = await owner.gives(chooses(whole), waba_id=forged)
        assert reply.status == 422


async def test_a_number_of_another_firm_stays_theirs(whole: Whole, owner: Owner) -> None:
    [before] = [each for each in whole.server.directory.channels() if each.tenant != LUNA.id]

    reply = await owner.gives(chooses(whole, "taken", number=NUMBER.id))

    assert (reply.status, reply.problem) == (409, "taken")
    assert await channels_of(whole) == []
    [sealed] = await channels_of(whole, before.tenant)
    assert sealed.channel == before
    assert open_token(BOX, sealed) == NUMBER.token
    # The link is not used up by it.
    assert (await owner.gives(chooses(whole))).status == 202


async def test_a_code_works_once(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole)
    other = await own_of(whole)
    assert (await owner.gives(finished)).status == 202

    reply = await other.gives(finished)

    assert (reply.status, reply.problem) == (409, "code")


async def test_a_code_that_is_late_is_asked_for_again(whole: Whole, owner: Owner) -> None:
    whole.emulator.signups.code_ms = 0
    reply = await owner.gives(chooses(whole))
    whole.emulator.signups.code_ms = 30_000

    assert (reply.status, reply.problem) == (409, "code")
    assert (await owner.stands())["state"] == "open"
    assert (await owner.gives(chooses(whole))).status == 202


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"app_id": "2"}, "app", id="of-another-app"),
        pytest.param({"scopes": ("whatsapp_business_messaging",)}, "scopes", id="without-a-scope"),
        pytest.param({"accounts": ()}, "account", id="for-no-account"),
    ],
)
async def test_a_token_that_is_not_enough_connects_nothing(
    whole: Whole, owner: Owner, changes: dict[str, object], why: str
) -> None:
    finished = chooses(whole)
    whole.emulator.signups.change(whole.emulator.signups.last_token(), **changes)

    reply = await owner.gives(finished)

    assert (reply.status, reply.problem) == (409, why)
    assert await channels_of(whole) == []


async def test_an_account_without_a_number_connects_nothing(whole: Whole, owner: Owner) -> None:
    reply = await owner.gives(chooses(whole, "none"))

    assert (reply.status, reply.problem) == (409, "number")


# ------------------------------------------------------------------ what Meta refuses later


async def test_a_number_with_a_pin_asks_its_owner_for_it(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole, "two_step")
    await owner.gives(finished)
    assert (await owner.comes("failed"))["reason"] == "pin"
    assert await part_of(whole) == ("failed", "pin")
    [sealed] = await channels_of(whole)
    assert await pin_of(whole, sealed) == ""

    assert (await owner.asks("again", pin="111111")).body["state"] == "pending"
    assert (await owner.comes("failed"))["reason"] == "pin"
    assert (await owner.asks("again", pin=PIN)).status == 202

    await owner.comes("done")
    assert await part_of(whole) == ("done", "")
    assert await pin_of(whole, sealed) == PIN
    assert standing(whole, number_of(whole, finished).id).registered


@pytest.mark.parametrize("pin", ["12345", "1234567", "abcdef", "12 456", "１２３４５６"])
async def test_only_six_digits_are_a_pin(whole: Whole, owner: Owner, pin: str) -> None:
    assert (await owner.asks("again", pin=pin)).status == 422


@pytest.mark.parametrize(
    ("code", "reason"),
    [(133005, "pin"), (133006, "unverified"), (133008, "pin_wait"), (133009, "pin_wait"), (133016, "too_many"),
     (190, "token"), (10, "token"), (100, "refused"), (133010, "refused")],
)  # fmt: skip
async def test_why_it_was_not_registered_is_told_and_tried_anew(
    whole: Whole, owner: Owner, code: int, reason: str
) -> None:
    finished = chooses(whole)
    number = number_of(whole, finished)
    whole.emulator.accounts.change(number.id, {"register_fails_with": code})
    await owner.gives(finished)
    stands = await owner.comes("failed")
    assert (stands["reason"], stands["step"]) == (reason, "register")

    whole.emulator.accounts.change(number.id, {"register_fails_with": 0})
    await owner.asks("again")

    await owner.comes("done")


@pytest.mark.parametrize("code", [1, 80007, 133000, 133004, 999])
async def test_what_passes_is_waited_for(whole: Whole, owner: Owner, code: int) -> None:
    finished = chooses(whole)
    number = number_of(whole, finished)
    whole.emulator.accounts.change(number.id, {"register_fails_with": code})
    await owner.gives(finished)

    async def tried() -> bool:
        return str((await owner.stands())["step"]) == "register"

    await until(tried, within_s=10)
    await asyncio.sleep(0.2)
    assert (await owner.stands())["state"] == "pending"
    whole.emulator.accounts.change(number.id, {"register_fails_with": 0})

    await owner.comes("done")


async def test_after_a_failure_another_number_may_be_connected(whole: Whole, owner: Owner) -> None:
    await owner.gives(chooses(whole, "unverified"))
    assert (await owner.comes("failed"))["reason"] == "unverified"

    assert (await owner.gives(chooses(whole))).status == 202

    await owner.comes("done")
    assert len(await channels_of(whole)) == 2


async def test_meta_away_is_said_and_changes_nothing(whole: Whole, owner: Owner) -> None:
    finished = chooses(whole)
    whole.emulator.accounts.change(number_of(whole, finished).id, {"away": True})

    reply = await owner.gives(finished)

    assert (reply.status, reply.problem) == (409, "down")
    assert await channels_of(whole) == []


async def test_meta_away_for_long_is_told_and_gone_on_with(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    clock = Clock()
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        await with_luna(whole)
        owner = await own_of(whole)
        finished = chooses(whole)
        number = number_of(whole, finished)
        whole.emulator.accounts.change(number.id, {"register_fails_with": 2})
        await owner.gives(finished)

        async def given_up() -> bool:
            clock.shift(61_000)
            return str((await owner.stands())["state"]) == "failed"

        await until(given_up, within_s=30)
        assert (await owner.stands())["reason"] == "down"

        whole.emulator.accounts.change(number.id, {"register_fails_with": 0})
        await owner.asks("again")
        await owner.comes("done")


async def test_a_number_that_meta_lets_send_nothing_is_told(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    clock = Clock()
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        await with_luna(whole)
        owner = await own_of(whole)
        finished = chooses(whole)
        number = number_of(whole, finished)
        whole.emulator.accounts.change(number.id, {"unpaid": True})
        await owner.gives(finished)

        async def told() -> bool:
            clock.shift(10_000)
            return str((await owner.stands())["state"]) == "failed"

        await until(told, within_s=30)
        stands = await owner.stands()
        assert (stands["reason"], stands["step"]) == ("blocked", "check")

        whole.emulator.accounts.change(number.id, {"unpaid": False})
        await owner.asks("again")
        await owner.comes("done")


async def test_two_that_register_at_once_use_one_pin(whole: Whole, owner: Owner) -> None:
    """One of them stood still for longer than its lease."""
    finished = chooses(whole)
    await owner.gives(finished)
    await owner.comes("done")
    [sealed] = await channels_of(whole)
    number = number_of(whole, finished)
    async with Database.open(whole.stores.postgres.app) as database:
        pins = PostgresPins(database, BOX, Clock())
        await pins.keep_pin(sealed.channel, "")
        whole.emulator.accounts.change(number.id, {"pin": "", "registered": False})
        origin = Origin(whole.settings.graph_url)
        graph = Graph(origin, version="v26.0")

        await asyncio.gather(
            *(register(graph, pins, sealed.channel, number.token) for _ in range(4))
        )
        origin.close()

    assert standing(whole, number.id).pin == await pin_of(whole, sealed) != ""


# ------------------------------------------------------------------ nothing leaks


async def test_no_secret_is_logged_or_told(
    whole: Whole, owner: Owner, capfd: pytest.CaptureFixture[str]
) -> None:
    finished = chooses(whole)
    replies = [await owner.gives(finished, waba_id="404"), await owner.gives(chooses(whole))]
    finished = chooses(whole, "two_step")
    other = await own_of(whole)
    replies += [await other.gives(finished)]
    await owner.comes("done")
    await other.comes("failed")
    replies += [await other.asks("again", pin="135791")]
    await other.comes("failed")
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()

    out, err = capfd.readouterr()
    told = " ".join(map(repr, replies)) + metrics
    secrets = [SECRET, finished.code, owner.ticket, other.ticket, "135791"]
    secrets += list(whole.emulator.signups._grants)
    [*sealed] = await channels_of(whole)
    secrets += [pin for each in sealed if (pin := await pin_of(whole, each))]
    for secret in secrets:
        assert secret not in told
        assert secret not in out + err
    for number in whole.emulator.world.numbers.values():
        assert number.display_phone not in out + err
