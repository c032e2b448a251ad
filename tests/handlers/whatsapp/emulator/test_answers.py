"""What a person does with what a business sends: share a phone or a place, fill in a form, tap a card; and reactions to them."""

import json

import pytest

from handlers.whatsapp.emulator.world import Person
from tests.handlers.whatsapp.emulator.stage import (
    ANA,
    JSON,
    SOL,
    Stage,
    failures,
    interactive,
    items,
    template,
    text,
)


def request(kind: str, name: str) -> JSON:
    return interactive({"type": kind, "body": {"text": "¿Me ayudas?"}, "action": {"name": name}})


PHONE = request("request_contact_info", "request_contact_info")
PLACE = request("location_request_message", "send_location")


def form(**told: object) -> JSON:
    parameters = {
        "flow_message_version": "3",
        "flow_id": "77",
        "flow_cta": "Llenar",
        "flow_action_payload": {"screen": "START"},
        **told,
    }
    return interactive(
        {
            "type": "flow",
            "body": {"text": "Faltan datos"},
            "action": {"name": "flow", "parameters": parameters},
        }
    )


async def heard(stage: Stage, person: Person, **act: object) -> JSON:
    """The message that the bot hears of what the person does."""
    await stage.emulator.settled()
    await stage.hears_all()
    await stage.acts(person, **act)
    [message] = items(await stage.hears(), "messages")
    return {
        key: message[key]
        for key in message
        if key not in ("id", "timestamp", "from", "from_user_id")
    }


def answers(wamid: str) -> JSON:
    return {"context": {"from": "56223456789", "id": wamid}}


async def test_a_phone_is_shared_as_an_answer_to_the_request(stage: Stage) -> None:
    person = await stage.knows()
    asked = (await stage.sends(PHONE)).wamid

    assert await heard(stage, person, type="share_phone", message=asked) == {
        **answers(asked),
        "type": "contacts",
        "origin": "contact_request",
        "contacts": [{"phones": [{"phone": f"+{ANA}", "wa_id": ANA}]}],
    }


async def test_a_place_is_shared_as_an_answer_to_the_request(stage: Stage) -> None:
    person = await stage.knows()
    asked = (await stage.sends(PLACE)).wamid

    said = await heard(stage, person, type="location", latitude=1.5, longitude=2.5, quotes=asked)

    assert said == {
        **answers(asked),
        "type": "location",
        "location": {"latitude": 1.5, "longitude": 2.5},
    }


@pytest.mark.parametrize(
    ("told", "response"),
    [
        pytest.param({"flow_token": "t-1"}, {"name": "Ana", "adults": 2, "flow_token": "t-1"}, id="token"),
        pytest.param({}, {"name": "Ana", "adults": 2}, id="no-token"),
    ],
)  # fmt: skip
async def test_a_form_comes_back_with_its_token(stage: Stage, told: JSON, response: JSON) -> None:
    person = await stage.knows()
    asked = (await stage.sends(form(**told))).wamid

    said = await heard(
        stage, person, type="fill", message=asked, values={"name": "Ana", "adults": 2}
    )

    reply = said["interactive"]["nfm_reply"]  # type: ignore[index]  # JSON
    assert (said["context"], reply["name"]) == (answers(asked)["context"], "flow")
    assert json.loads(reply["response_json"]) == response


async def approve(stage: Stage, *buttons: JSON, **more: object) -> None:
    about = {"name": "t", "language": "es_CL", "category": "UTILITY", "body": "Hola"}
    await stage.control("PUT", f"templates/{SOL.id}", {**about, "buttons": list(buttons), **more})


async def test_the_buttons_of_a_template_do_the_same(stage: Stage) -> None:
    person = await stage.knows()
    await approve(
        stage,
        {"type": "FLOW", "text": "Llenar", "flow_id": "77"},
        {"type": "REQUEST_CONTACT_INFO", "text": "Compartir"},
    )
    token = {"type": "action", "action": {"flow_token": "t-2"}}
    press = {"type": "button", "sub_type": "flow", "index": "0", "parameters": [token]}
    asked = (await stage.sends(template("t", press))).wamid

    shared = await heard(stage, person, type="share_phone", message=asked)
    filled = await heard(stage, person, type="fill", message=asked, values={})

    assert shared["origin"] == "contact_request"
    assert filled["interactive"]["nfm_reply"]["response_json"] == '{"flow_token":"t-2"}'  # type: ignore[index]  # JSON


async def test_a_card_is_tapped_by_the_id_of_its_button(stage: Stage) -> None:
    person = await stage.knows()
    cards = [
        {
            "card_index": n,
            "header": {"type": "image", "image": {"link": "https://sol.example/t.jpg"}},
            "action": {"buttons": [{"type": "quick_reply", "quick_reply": {"id": f"c{n}", "title": "Quiero"}}]},
        }
        for n in range(2)
    ]  # fmt: skip
    shown: JSON = {"type": "carousel", "body": {"text": "¿Cuál?"}, "action": {"cards": cards}}
    asked = (await stage.sends(interactive(shown))).wamid

    assert await heard(stage, person, type="tap", message=asked, id="c1") == {
        **answers(asked),
        "type": "interactive",
        "interactive": {"type": "button_reply", "button_reply": {"id": "c1", "title": "Quiero"}},
    }


async def test_a_card_of_a_template_is_tapped_by_its_payload(stage: Stage) -> None:
    person = await stage.knows()
    reply = {"type": "QUICK_REPLY", "text": "Quiero"}
    await approve(stage, cards=[{"header": "IMAGE", "buttons": [reply]}] * 2)
    picture = {"type": "image", "image": {"link": "https://sol.example/t.jpg"}}
    cards = [
        {
            "card_index": n,
            "components": [
                {"type": "header", "parameters": [picture]},
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "0",
                    "parameters": [{"type": "payload", "payload": f"p{n}"}],
                },
            ],
        }
        for n in range(2)
    ]
    asked = (await stage.sends(template("t", {"type": "carousel", "cards": cards}))).wamid

    said = await heard(stage, person, type="tap", message=asked, id="p1")

    assert said["button"] == {"payload": "p1", "text": "Quiero"}


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        pytest.param({"type": "share_phone"}, "that message does not ask for the phone", id="phone"),
        pytest.param({"type": "fill", "values": {}}, "that message opens no form", id="form"),
        pytest.param({"type": "tap", "id": "a"}, "that message has no such button", id="button"),
        pytest.param({"type": "tap", "id": "a", "message": "w"}, "no such message in this chat", id="message"),
    ],
)  # fmt: skip
async def test_what_a_message_does_not_offer_cannot_be_done(
    stage: Stage, act: JSON, problem: str
) -> None:
    person = await stage.knows()
    plain = (await stage.sends(text())).wamid
    path = f"{stage.address}/api/chats/{SOL.id}/{person.id}/messages"

    async with stage.http.post(path, json={"message": plain, **act}) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": problem})


async def test_a_phone_that_the_emulator_does_not_know_is_not_shared(stage: Stage) -> None:
    person = await stage.knows(username="ana.sol")
    body = {key: value for key, value in PHONE.items() if key != "to"}
    asked = (await stage.sends({**body, "recipient": person.bsuid(SOL.portfolio_id)})).wamid
    path = f"{stage.address}/api/chats/{SOL.id}/{person.id}/messages"

    async with stage.http.post(path, json={"type": "share_phone", "message": asked}) as answer:
        assert answer.status == 400


# ------------------------------------------------------------------ reactions of the business


def react(wamid: str, emoji: str = "👍") -> JSON:
    return {"to": ANA, "type": "reaction", "reaction": {"message_id": wamid, "emoji": emoji}}


async def test_a_reaction_sits_on_what_the_person_wrote_and_is_only_sent(stage: Stage) -> None:
    person = await stage.person()
    wrote = await stage.writes(person)
    await stage.watches(person)
    await stage.hears_all()

    await stage.sends(react(wrote))

    statuses = await stage.hears_statuses()
    message = stage.emulator.world.message(wrote)
    assert message is not None
    assert message.emoji == "👍"
    assert [status["status"] for status in statuses] == ["sent"]


async def test_a_reaction_can_be_taken_back(stage: Stage) -> None:
    person = await stage.person()
    wrote = await stage.writes(person)
    await stage.sends(react(wrote))

    await stage.sends(react(wrote, ""))

    message = stage.emulator.world.message(wrote)
    assert message is not None
    assert message.emoji == ""


async def test_a_reaction_to_no_message_of_the_person_fails_later(stage: Stage) -> None:
    await stage.knows()
    ours = (await stage.sends(text())).wamid
    await stage.emulator.settled()
    await stage.hears_all()

    taken = await stage.sends(react(ours))

    assert taken.status == 200
    assert failures(await stage.hears_statuses()) == [("failed", 131009)]


async def test_a_template_is_described_with_all_its_parts(stage: Stage) -> None:
    await approve(
        stage,
        {"type": "COPY_CODE", "text": "Copiar"},
        {"type": "PHONE_NUMBER", "text": "Llamar", "phone": "+56912345678"},
        header_text="Pedido {{numero}}",
        header="TEXT",
        offer="Solo hoy",
        offer_expires=True,
        cards=[{"header": "IMAGE", "body": "Torta", "buttons": [{"type": "URL", "text": "Ver", "url": "https://a.cl"}]}],
    )  # fmt: skip

    url = f"{stage.address}/v26.0/{SOL.waba_id}/message_templates?name=t"
    async with stage.http.get(url, headers={"Authorization": f"Bearer {SOL.token}"}) as answer:
        [described] = (await answer.json())["data"]

    card = [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Torta"},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Ver", "url": "https://a.cl"}]},
    ]
    assert described["components"] == [
        {"type": "HEADER", "format": "TEXT", "text": "Pedido {{numero}}"},
        {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Solo hoy", "has_expiration": True}},
        {"type": "BODY", "text": "Hola"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "COPY_CODE", "text": "Copiar"},
                {"type": "PHONE_NUMBER", "text": "Llamar", "phone_number": "+56912345678"},
            ],
        },
        {"type": "CAROUSEL", "cards": [{"components": card}]},
    ]  # fmt: skip
