"""What people do beside writing, through everything: webhook, lanes, turn, Graph API, journal."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.engine.hearing import SETTLE_MS
from bot.lanes import Wire
from bot.people.addresses import Addresses
from bot.store.database import Database
from flows.dialog.session import QUIET_MINUTES
from handlers.events import Sender
from handlers.whatsapp.emulator.content import words_of
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

ANA, BEA = 1, 2
BSUID = "CL.90000000000000001"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, book=echo_book(), clock=Clock()) as whole:
        yield whole


async def at_rest(whole: Whole) -> None:
    """All that was heard is decided, sent and told."""
    await whole.emulator.settled()

    async def idle() -> bool:
        depths = await whole.server.lanes.depths()
        return all(kind.waiting == kind.leased == 0 for kind in depths.kinds.values())

    await until(idle, within_s=10, what="rest")
    await whole.emulator.settled()


def replies(whole: Whole, n: int) -> list[str]:
    """What the bot said to a person."""
    person = whole.people.id_of(n)
    assert person is not None
    return [
        words_of(message.content)
        for message in whole.emulator.world.messages(NUMBER.id, person)
        if message.outbound and not message.by_hand
    ]


async def rows(whole: Whole, sql: str) -> list[dict[str, Any]]:
    """What the journal holds, by the owner's eyes."""
    await whole.server.journal.drain_once()
    async with Database.open(whole.stores.postgres.app) as database:
        firm = next(iter(whole.server.directory._firms))
        async with database.tenant(firm) as connection:
            return [dict(row) for row in await connection.fetch(sql)]


# ------------------------------------------------------------------ corrections


async def test_an_edit_is_written_over_the_message_and_met_as_an_edit(whole: Whole) -> None:
    wamid = await whole.people.write(ANA, "a qué hora abren")
    await at_rest(whole)

    await whole.people.act(ANA, {"type": "edit", "message": wamid, "body": "a qué hora cierran"})
    await at_rest(whole)

    first, second = replies(whole, ANA)
    assert first.startswith("1 a qué hora abren")
    assert not second.startswith("2 ")
    told = await rows(
        whole,
        "SELECT content->>'text' AS text, content->>'changed' AS changed FROM smarterbot.messages WHERE kind = 'text' AND direction = 'in'",
    )
    assert told == [{"text": "a qué hora cierran", "changed": "edited"}]


async def test_what_is_taken_back_is_nowhere_any_more(whole: Whole) -> None:
    wamid = await whole.people.write(ANA, "mi clave secreta es manzana")
    await at_rest(whole)
    await whole.people.act(ANA, {"type": "edit", "message": wamid, "body": "es pera"})
    await at_rest(whole)

    await whole.people.act(ANA, {"type": "revoke", "message": wamid})
    await at_rest(whole)

    told = await rows(
        whole, "SELECT content::text AS content FROM smarterbot.messages WHERE direction = 'in'"
    )
    assert told
    assert not any("manzana" in row["content"] or "pera" in row["content"] for row in told)


async def test_corrections_that_overtake_their_message_are_applied(whole: Whole) -> None:
    """The emulator turns the order of a pile of webhooks round."""
    await whole.people.write(ANA, "buen pan")
    await at_rest(whole)
    await whole.people.faults(reorder=2)
    wamid = await whole.people.write(ANA, "pan")
    await whole.people.act(ANA, {"type": "edit", "message": wamid, "body": "torta"})
    await at_rest(whole)

    assert replies(whole, ANA)[1:] == ["2 torta ¿Algo más?"]


# ------------------------------------------------------------------ the owner


async def test_the_bot_is_silent_while_the_owner_answers_from_the_phone(whole: Whole) -> None:
    await whole.people.write(ANA, "buen pan")
    await at_rest(whole)

    await whole.people.act(ANA, {"type": "owner", "body": "Hola Ana, te cuento yo"})
    await whole.people.act(ANA, {"type": "owner", "kind": "image", "body": "mira"})
    await at_rest(whole)
    await whole.people.write(ANA, "qué bueno")
    await at_rest(whole)
    assert len(replies(whole, ANA)) == 1

    whole.server.clock.shift(QUIET_MINUTES * 60_000)
    await whole.people.write(ANA, "y tú, bot")
    await at_rest(whole)
    assert replies(whole, ANA)[1:] == ["2 y tú, bot ¿Algo más?"]

    told = await rows(
        whole,
        "SELECT kind, content->>'text' AS text FROM smarterbot.messages WHERE direction = 'out' AND content->>'type' = 'heard' ORDER BY turn",
    )
    assert told == [
        {"kind": "text", "text": "Hola Ana, te cuento yo"},
        {"kind": "media", "text": "mira"},
    ]


# ------------------------------------------------------------------ preferences


async def test_stop_and_resume_are_in_the_ledger_even_of_somebody_who_never_wrote(
    whole: Whole,
) -> None:
    await whole.people.join(ANA)
    for wanted in (False, True):
        await whole.people.act(ANA, {"type": "offers", "wanted": wanted})
        await at_rest(whole)
        whole.server.clock.shift(5_000)

    told = await rows(whole, "SELECT purpose, granted FROM smarterbot.consents ORDER BY turn")
    assert told == [
        {"purpose": "marketing", "granted": False},
        {"purpose": "marketing", "granted": True},
    ]
    assert replies(whole, ANA) == []


# ------------------------------------------------------------------ other numbers


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"wa_id": phone(77)}, "number", id="number"),
        pytest.param({"renew_id": True}, "user_id", id="user-id"),
    ],
)
async def test_who_changes_their_number_is_somebody_new_until_they_prove_it(
    whole: Whole, change: dict[str, object], why: str
) -> None:
    await whole.people.write(ANA, "buen pan")
    await whole.people.write(ANA, "pan")
    await at_rest(whole)

    await whole.people.become(ANA, change)
    await at_rest(whole)
    await whole.people.write(ANA, "torta")
    await at_rest(whole)

    assert replies(whole, ANA)[-1] == "1 torta ¿Algo más?", "a session of its own"
    [void] = await rows(
        whole, "SELECT contact_id::text AS contact, why FROM smarterbot.proofs_voided"
    )
    assert void["why"] == why
    held = await rows(
        whole,
        "SELECT contact_id::text AS contact, valid_to FROM smarterbot.contact_addresses WHERE kind = 'bsuid'",
    )
    assert {row["contact"] == void["contact"]: row["valid_to"] is None for row in held} == {
        True: False,
        False: True,
    }


async def test_another_device_ends_the_session_of_the_same_contact(whole: Whole) -> None:
    await whole.people.write(ANA, "buen pan")
    await at_rest(whole)

    await whole.people.become(ANA, {"new_device": True})
    await at_rest(whole)
    await whole.people.write(ANA, "pan")
    await at_rest(whole)

    assert replies(whole, ANA) == ["1 buen pan ¿Algo más?", "1 pan ¿Algo más?"]
    assert len(await rows(whole, "SELECT 1 FROM smarterbot.contacts")) == 1


async def test_a_number_that_was_given_to_somebody_else_leads_to_nobody_s_past(
    whole: Whole,
) -> None:
    """Ana leaves her number without a word of Meta; Bea gets it."""
    await whole.people.inject(webhook("hola", "w.1", wa_id="56955500001", bsuid=BSUID))
    await at_rest(whole)

    await whole.people.inject(webhook("pan", "w.2", wa_id="56955500001", bsuid=f"{BSUID}9"))
    await at_rest(whole)

    heard = await rows(whole, "SELECT turn FROM smarterbot.messages WHERE direction = 'in'")
    assert heard == [{"turn": 1}, {"turn": 1}]
    assert await rows(whole, "SELECT why FROM smarterbot.proofs_voided") == [{"why": "recycled"}]


# ------------------------------------------------------------------ two contacts, one person


async def test_two_contacts_become_one_and_nothing_is_lost_or_out_of_order(whole: Whole) -> None:
    await whole.people.inject(webhook("a0", "w.a", wa_id="56955500001"))
    await at_rest(whole)
    await whole.people.inject(webhook("b0", "w.b", bsuid=BSUID))
    await at_rest(whole)

    # Now both come together: first while the two are still apart, then for good.
    for n in range(20):
        for _ in range(2):  # Meta repeats what it likes
            await whole.people.inject(webhook(f"m{n}", f"w.{n}", wa_id="56955500001", bsuid=BSUID))
        if n == 10:
            await at_rest(whole)
            whole.server.clock.shift(SETTLE_MS)
            await at_rest(whole)
        await whole.emulator.settled()
    await at_rest(whole)

    told = await rows(
        whole,
        """
        SELECT m.content->>'text' AS text, c.contact_id::text AS contact FROM smarterbot.messages m
        JOIN smarterbot.conversations c ON c.id = m.conversation_id
        WHERE m.direction = 'in' ORDER BY m.conversation_id, m.turn, m.place
        """,
    )
    [joined] = await rows(
        whole,
        "SELECT id::text AS id, joined_into::text AS into_ FROM smarterbot.contacts WHERE joined_into IS NOT NULL",
    )
    assert [row["text"] for row in told if row["contact"] == joined["into_"]] == [
        "b0",
        *(f"m{n}" for n in range(20)),
    ]
    assert [row["text"] for row in told if row["contact"] == joined["id"]] == ["a0"]

    wire = await Wire.open(whole.stores.redis_url)
    directory = whole.server.directory
    addresses = Addresses(wire, pepper=directory.pepper, shards=whole.server.lanes.shards)
    channel = directory.channel_by_number(NUMBER.id)
    assert channel is not None
    people = await addresses.resolve(
        [(channel, Sender(wa_id="56955500001")), (channel, Sender(bsuid=BSUID))]
    )
    assert {person.contact for person in people} == {joined["into_"]}
    await wire.close()


async def test_the_phone_s_conversation_goes_on_in_the_joined_one(whole: Whole) -> None:
    await whole.people.inject(webhook("b0", "w.b", bsuid=BSUID))
    await at_rest(whole)
    for n in range(3):
        await whole.people.inject(
            webhook(f"a{n}", f"w.a{n}", wa_id="56955500001", at=1_795_392_001)
        )
        await at_rest(whole)

    await whole.people.inject(webhook("m", "w.m", wa_id="56955500001", bsuid=BSUID))
    await at_rest(whole)

    said = await rows(
        whole,
        "SELECT content->>'body' AS body FROM smarterbot.messages WHERE direction = 'out' ORDER BY at",
    )
    assert said[-1]["body"] == "4 m ¿Algo más?"


def webhook(
    text: str, wamid: str, *, wa_id: str = "", bsuid: str = "", at: int = 1_795_392_000
) -> dict[str, object]:
    """A message that carries just these addresses."""
    addresses = {"from": wa_id} if wa_id else {}
    contact: dict[str, object] = {"profile": {"name": "Ana"}}
    if wa_id:
        contact["wa_id"] = wa_id
    if bsuid:
        addresses["from_user_id"] = contact["user_id"] = bsuid
    # Old enough for nobody to be written to: these people are not the emulator's.
    message = {
        **addresses, "id": f"wamid.{wamid}", "timestamp": str(at), "type": "text", "text": {"body": text},
    }  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56223456789", "phone_number_id": NUMBER.id},
        "contacts": [contact],
        "messages": [message],
    }
    entry = {"id": NUMBER.waba_id, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}
