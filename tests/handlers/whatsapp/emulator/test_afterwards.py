"""What people do beside writing: they change and take back, move, say no to offers, and owners answer by hand."""

import msgspec
import pytest

from handlers.whatsapp.codec import parse
from handlers.whatsapp.webhook_values import Webhook
from tests.handlers.whatsapp.emulator.stage import ANA, HOUR_MS, JSON, SOL, Stage, text

NEW = "56900000009"


async def heard(stage: Stage) -> Webhook:
    """The next webhook, as the bot's own codec reads it: it and the emulator know nothing of each other."""
    return parse((await stage.hears_raw()).raw)


async def refused(stage: Stage, path: str, body: JSON) -> bool:
    async with stage.http.post(f"{stage.address}/api/{path}", json=body) as answer:
        return answer.status == 400


async def test_a_message_is_changed_and_taken_back(stage: Stage) -> None:
    person = await stage.person()
    wamid = await stage.writes(person, "pan")
    await stage.hears()

    changed = await stage.acts(person, type="edit", message=wamid, body="torta")
    [edit] = (await heard(stage)).messages
    gone = await stage.acts(person, type="revoke", message=wamid)
    [revoke] = (await heard(stage)).messages

    assert (changed["content"], changed["changed"]) == ({"type": "text", "body": "torta"}, "edited")
    assert (gone["content"], gone["changed"]) == ({"type": "text", "body": ""}, "revoked")
    assert (edit.heard.kind, edit.heard.text, edit.heard.reply_to) == ("edit", "torta", wamid)
    assert (revoke.heard.kind, revoke.heard.reply_to) == ("revoke", wamid)
    assert len({edit.heard.id, revoke.heard.id, wamid}) == 3


@pytest.mark.parametrize(("type", "hours"), [("edit", 0.26), ("revoke", 49)])
async def test_a_message_can_be_corrected_for_a_while_only(
    stage: Stage, type: str, hours: float
) -> None:
    person = await stage.person()
    wamid = await stage.writes(person)
    await stage.shift(int(hours * HOUR_MS))

    path = f"chats/{SOL.id}/{person.id}/messages"
    assert await refused(stage, path, {"type": type, "message": wamid, "body": "x"})


async def test_nobody_changes_what_the_bot_said(stage: Stage) -> None:
    person = await stage.knows()
    wamid = (await stage.sends(text("hola"))).wamid

    path = f"chats/{SOL.id}/{person.id}/messages"
    assert await refused(stage, path, {"type": "revoke", "message": wamid})


async def test_the_owner_answers_from_the_phone(stage: Stage) -> None:
    person = await stage.knows()

    message = await stage.acts(person, type="owner", body="Hola, soy Sol")
    [echo] = (await heard(stage)).echoes
    await stage.acts(person, type="owner", kind="image", body="mira")
    [photo] = (await heard(stage)).echoes
    await stage.acts(person, type="revoke", message=str(message["wamid"]))
    [revoke] = (await heard(stage)).echoes

    assert (message["outbound"], message["by_hand"]) == (True, True)
    assert (echo.sender.wa_id, echo.heard.text) == (ANA, "Hola, soy Sol")
    assert (photo.heard.kind, photo.heard.text) == ("media", "mira")
    assert (revoke.heard.kind, revoke.heard.reply_to) == ("revoke", message["wamid"])


async def test_the_truth_tells_of_the_bot_alone(stage: Stage) -> None:
    person = await stage.knows()
    await stage.acts(person, type="owner", body="Hola, soy Sol")

    report = await stage.control("GET", "truth")

    assert msgspec.convert(report["world"], JSON)["taken"] == 0


@pytest.mark.parametrize("wanted", [True, False])
async def test_offers_are_stopped_and_resumed_in_whatsapp_itself(
    stage: Stage, *, wanted: bool
) -> None:
    person = await stage.person()

    await stage.acts(person, type="offers", wanted=wanted)

    [preference] = (await heard(stage)).preferences
    assert (preference.marketing, preference.sender.wa_id) == (wanted, ANA)
    assert preference.phone_number_id == SOL.id


@pytest.mark.parametrize(
    ("change", "why", "told"),
    [
        pytest.param({"wa_id": NEW}, "number", ANA, id="number"),
        pytest.param({"renew_id": True}, "user_id", "", id="user-id"),
        pytest.param({"new_device": True}, "identity", ANA, id="device"),
    ],
)
async def test_a_person_becomes_another(stage: Stage, change: JSON, why: str, told: str) -> None:
    person = await stage.knows()
    before = person.bsuid(SOL.portfolio_id)

    after = await stage.control("POST", f"people/{person.id}", change)
    [move] = (await heard(stage)).moves
    await stage.writes(person)
    [message] = (await heard(stage)).messages

    assert (move.why, move.sender.wa_id, move.sender.bsuid) == (why, told, before)
    assert (message.sender.bsuid == before) is (why == "identity")
    assert message.sender.wa_id == after["wa_id"]


async def test_only_who_chatted_with_a_person_hears_of_it(stage: Stage) -> None:
    person = await stage.knows()

    await stage.control("POST", f"people/{person.id}", {"wa_id": NEW})

    assert len(await stage.hears_all()) == 1


async def test_an_old_number_reaches_nobody_and_the_new_one_has_no_window_yet(stage: Stage) -> None:
    person = await stage.knows()
    await stage.control("POST", f"people/{person.id}", {"wa_id": NEW})
    await stage.hears_all()

    await stage.sends(text("hola"))
    await stage.sends({**text("hola"), "to": NEW})

    failed = await stage.hears_statuses()
    assert sorted(msgspec.convert(s["errors"], list[JSON])[0]["code"] for s in failed) == [  # type: ignore[type-var]
        131026,
        131047,
    ]


async def test_a_person_takes_a_username_and_hides_their_phone(stage: Stage) -> None:
    person = await stage.knows()

    await stage.control("POST", f"people/{person.id}", {"username": "ana.sol", "hides_phone": True})
    await stage.writes(person)

    [message] = (await heard(stage)).messages
    assert (message.sender.wa_id, message.sender.username) == ("", "ana.sol")
    assert message.sender.bsuid == person.bsuid(SOL.portfolio_id)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"wa_id": NEW, "renew_id": True}, id="two-at-once"),
        pytest.param({"wa_id": "no digits"}, id="no-phone"),
        pytest.param({"wa_id": ANA}, id="their-own"),
        pytest.param({"dance": True}, id="unknown"),
    ],
)
async def test_what_nobody_can_become_is_refused(stage: Stage, change: JSON) -> None:
    person = await stage.person()

    assert await refused(stage, f"people/{person.id}", change)
    assert await refused(stage, "people/p99", {"wa_id": NEW})
