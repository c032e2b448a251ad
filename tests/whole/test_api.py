"""A firm's own system sends by intent and learns what became of it: the whole server, over HTTP."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import jsonschema
import openapi_spec_validator
import pytest
import redis.asyncio as redis

from bot.clock import Clock
from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.lanes import Wire
from bot.people.channels import Mark, mark_channel
from bot.people.directory import publish_directory
from bot.people.tenants import list_firms
from bot.store.database import Database
from bot.store.secrets import SecretBox
from tests.whole.api import Caller, a_rival, caller_of, make_key, order_update, price_list
from tests.whole.conftest import KEYS, Whole, whole_server
from tests.whole.people import until
from tests.whole.test_conversations import Live

NOON = datetime(2026, 11, 30, 12, tzinfo=ZoneInfo("America/Santiago"))
HOUR_MS = 3_600_000
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    clock = Clock()
    clock.shift(int(NOON.timestamp() * 1000) - clock.now_ms())
    async with whole_server(stores, tmp_path, free_port, clock=clock) as whole:
        await template_is(whole, "APPROVED")
        yield whole


async def template_is(whole: Whole, status: str, name: str = "pedido_actualizado") -> None:
    """Wait until the server knows that a template stands so."""
    [channel, *_] = whole.server.directory.channels()

    async def is_so() -> bool:
        template = whole.server.directory.template(channel.id, name, "es_CL")
        return template is not None and template.status == status

    await until(is_so, within_s=15, what=f"that the template is {status}")


@pytest.fixture
async def api(whole: Whole) -> Caller:
    return await caller_of(whole.settings, whole.stores, whole.http, whole.server.address)


async def heard(whole: Whole, person: int) -> list[str]:
    """What the bot has said to a person."""
    replies = await whole.people.replies()
    known = whole.people.id_of(person)
    return next((said for who, said in replies.items() if who in (known, phone_of(person))), [])


def phone_of(n: int) -> str:
    return str(56_961_000_000 + n)


async def writes(whole: Whole, person: int, text: str = "hola") -> None:
    """A person writes and is answered."""
    before = len(await heard(whole, person)) if whole.people.id_of(person) else 0
    await whole.people.write(person, text)
    whole.server.clock.shift(2_000)

    async def answered() -> bool:
        return len(await heard(whole, person)) > before

    await until(answered, within_s=10, what="an answer")


# ------------------------------------------------------------------ one message


async def test_outside_the_window_the_template_is_sent(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)

    sent = await api.send(1)

    assert sent.status == 202
    assert sent.headers["Location"] == f"/v1/messages/{sent.body['id']}"
    fate = await api.fate_is(sent.body["id"], "delivered", "read")
    assert fate["form"] == "template"
    assert await heard(whole, 1) == [
        "Hola Ana, tu pedido 1042 de Panadería Sol cambió de estado y ahora está listo. "
        "Si necesitas algo, responde por este chat."
    ]


async def test_within_the_window_free_text_is_sent(whole: Whole, api: Caller) -> None:
    await writes(whole, 1)

    sent = await api.send(1)

    fate = await api.fate_is(sent.body["id"], "delivered", "read")
    assert fate["form"] == "text"
    assert (await heard(whole, 1))[-1] == "Hola Ana, tu pedido 1042 de Panadería Sol está listo."


async def test_a_contact_is_reached_by_its_id(whole: Whole, api: Caller) -> None:
    await writes(whole, 1)
    first = await api.send(1)
    contact = (await api.fate_is(first.body["id"], "delivered", "read"))["contact"]

    second = await api.send(1, {"to": {"contact": contact}})

    assert (await api.fate_is(second.body["id"], "delivered", "read"))["contact"] == contact


async def test_what_may_wait_is_parked_and_said_once_the_person_writes(
    whole: Whole, api: Caller
) -> None:
    await whole.people.join(1)
    sent = await api.send(1, {"when_closed": "wait"})
    await api.fate_is(sent.body["id"], "parked")
    assert await heard(whole, 1) == []

    await writes(whole, 1)

    await api.fate_is(sent.body["id"], "delivered", "read")


async def test_a_notice_that_the_person_has_not_allowed_stays_here(
    whole: Whole, api: Caller
) -> None:
    await whole.people.join(1)
    notice = order_update(1)
    permission = notice.pop("permission")

    without = await api.call("POST", "/v1/messages", notice)
    fate = await api.fate_is(without.body["id"], "refused")
    assert fate["reason"] == "no_consent"
    assert await heard(whole, 1) == []

    proved = await api.call("POST", "/v1/messages", {**notice, "permission": permission})
    await api.fate_is(proved.body["id"], "delivered", "read")


async def test_a_template_that_meta_paused_stops_what_depends_on_it(
    whole: Whole, api: Caller
) -> None:
    await whole.people.join(1)
    url = f"{whole.settings.graph_url}/api/accounts/{NUMBER.id}/decisions"
    pause = {
        "type": "template",
        "event": "PAUSED",
        "title": "FIRST_PAUSE",
        "name": "pedido_actualizado",
        "language": "es_CL",
    }
    async with whole.http.post(url, json=pause) as answer:
        assert answer.status == 202, await answer.text()
    await template_is(whole, "PAUSED")

    sent = await api.send(1)

    fate = await api.fate_is(sent.body["id"], "refused")
    assert fate["reason"] == "template_unusable"
    await writes(whole, 1)
    free = await api.send(1)
    assert (await api.fate_is(free.body["id"], "delivered", "read"))["form"] == "text"


async def test_the_meter_counts_what_was_sent_by_the_api(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    sent = await api.send(1)
    await api.fate_is(sent.body["id"], "delivered", "read")

    async def fares() -> list[tuple[str, str]]:
        async with Database.open(whole.stores.postgres.app) as database:
            [firm] = await list_firms(database)
            async with database.tenant(firm.id) as connection:
                rows = await connection.fetch(
                    "SELECT category, price_type FROM smarterbot.message_fares WHERE NOT failed"
                )
        return [(row["category"], row["price_type"]) for row in rows]

    async def counted() -> bool:
        return await fares() == [("utility", "regular")]

    await until(counted, within_s=10, what="a fare")


async def test_a_file_that_a_template_offers_comes_with_the_tap(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    sent = await api.call("POST", "/v1/messages", price_list(1))
    await api.fate_is(sent.body["id"], "delivered", "read")
    [offer] = await heard(whole, 1)
    assert "Toca el botón" in offer

    await whole.people.act(1, Live(whole).tap("Ver precios"))

    async def has_it() -> bool:
        return len(await heard(whole, 1)) == 2

    await until(has_it, within_s=10, what="the file")
    assert (await heard(whole, 1))[1].startswith("Hola Ana, esta es la lista de precios")


async def test_a_person_who_opted_out_is_left_in_peace(whole: Whole, api: Caller) -> None:
    await writes(whole, 1, "baja")

    sent = await api.send(1)

    fate = await api.fate_is(sent.body["id"], "refused")
    assert fate["reason"] == "opted_out"


async def test_an_offer_needs_consent_and_the_firm_can_prove_it(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    offer = price_list(1)
    permission = offer.pop("permission")

    without = await api.call("POST", "/v1/messages", offer)
    fate = await api.fate_is(without.body["id"], "refused")
    assert fate["reason"] == "no_consent"

    proved = await api.call("POST", "/v1/messages", {**offer, "permission": permission})
    await api.fate_is(proved.body["id"], "delivered", "read")


async def test_a_firm_cannot_say_yes_for_somebody_who_said_no(whole: Whole, api: Caller) -> None:
    await writes(whole, 1, "baja")

    sent = await api.call("POST", "/v1/messages", price_list(1))

    fate = await api.fate_is(sent.body["id"], "refused")
    assert fate["reason"] == "opted_out"


async def test_what_meta_refuses_is_told_with_a_reason(whole: Whole, api: Caller) -> None:
    nobody = await api.send(77)  # a phone without WhatsApp

    fate = await api.fate_is(nobody.body["id"], "failed")
    assert fate["reason"] == "undeliverable"


async def test_a_message_has_its_place_among_what_the_person_does(
    whole: Whole, api: Caller
) -> None:
    await writes(whole, 1)

    ids = [(await api.send(1, {"message": update(n)})).body["id"] for n in range(5)]

    for id in ids:
        await api.fate_is(id, "delivered", "read")
    said = (await heard(whole, 1))[-5:]
    assert [words.split()[4] for words in said] == ["0", "1", "2", "3", "4"]


def update(n: int) -> dict[str, str]:
    return {"intent": "order_update", "name": "Ana", "order": str(n), "status": "ready"}


# ------------------------------------------------------------------ once


async def test_the_same_key_and_body_is_the_same_message(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)

    answers = [await api.send(1, once="order-1042-ready") for _ in range(3)]

    assert [answer.status for answer in answers] == [202] * 3
    assert len({answer.body["id"] for answer in answers}) == 1
    await api.fate_is(answers[0].body["id"], "delivered", "read")
    assert len(await heard(whole, 1)) == 1


async def test_at_the_same_moment_too(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)

    answers = await asyncio.gather(*(api.send(1, once="at-once") for _ in range(20)))

    [id] = {answer.body["id"] for answer in answers}
    await api.fate_is(id, "delivered", "read")
    assert len(await heard(whole, 1)) == 1


async def test_the_same_key_and_another_body_is_refused(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    await api.send(1, once="order-1042")

    other = await api.send(2, once="order-1042")

    assert (other.status, other.body["type"]) == (422, "urn:smarterbot:problem:key_reused")
    assert other.body["errors"][0]["header"] == "Idempotency-Key"


# ------------------------------------------------------------------ what is wrong


def message(**changes: object) -> dict[str, object]:
    return {"message": {**update(7), **changes}}


MISTAKES: dict[str, tuple[dict[str, object], str]] = {
    "nobody": ({"to": {}}, "/to"),
    "two ways": ({"to": {"phone": "+56961000001", "bsuid": "CL.1"}}, "/to"),
    "phone without country": ({"to": {"phone": "961000001"}}, "/to/phone"),
    "phone with a line": ({"to": {"phone": "+56961000001\n"}}, "/to/phone"),
    "phone too short": ({"to": {"phone": "+5691"}}, "/to/phone"),
    "phone too long": ({"to": {"phone": "+569610000012345"}}, "/to/phone"),
    "no bsuid": ({"to": {"bsuid": "no"}}, "/to/bsuid"),
    "no uuid": ({"to": {"contact": "me"}}, "/to/contact"),
    "unknown way": ({"to": {"email": "a@b.cl"}}, "/to/email"),
    "unknown intent": ({"message": {"intent": "greet"}}, "/message/intent"),
    "no intent": ({"message": {}}, "/message/intent"),
    "variable missing": (
        {"message": {"intent": "order_update", "name": "Ana", "status": "ready"}},
        "/message/order",
    ),
    "variable of another type": (message(order=7), "/message/order"),
    "variable that no template takes": (message(name="Ana\nBob"), "/message/name"),
    "variable that ends a line": (message(name="Ana\n"), "/message/name"),
    "variable of blanks": (message(name="A     B"), "/message/name"),
    "status that nobody knows": (message(status="lost"), "/message/status"),
    "variable that nobody knows": (message(size=3), "/message/size"),
    "too short-lived": ({"ttl": 5}, "/ttl"),
    "somebody else's channel": ({"channel": str(uuid4())}, "/channel"),
    "unknown field": ({"colour": "red"}, "/colour"),
}


async def test_a_value_that_does_not_do_is_pointed_at(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)

    answers = {what: await api.send(1, changes) for what, (changes, _) in MISTAKES.items()}

    assert {what: (answer.status, answer.pointers) for what, answer in answers.items()} == {
        what: (422, [pointer]) for what, (_, pointer) in MISTAKES.items()
    }
    for answer in answers.values():
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.body["status"] == 422
        assert answer.body["errors"][0]["detail"]
    assert await heard(whole, 1) == []


async def test_what_is_no_json_is_refused(whole: Whole, api: Caller) -> None:
    answers = {}
    for body in (b"{", b"\xff", b"[" * 50_000, b"x" * 70_000):
        headers = {"Authorization": f"Bearer {api.key}", "Idempotency-Key": "k"}
        async with whole.http.post(
            f"{api.address}/v1/messages",
            data=body,
            headers={**headers, "Content-Type": "application/json"},
        ) as answer:
            answers[body[:1], len(body)] = (answer.status, answer.content_type)

    assert list(answers.values()) == [
        (400, "application/problem+json"),
        (400, "application/problem+json"),
        (422, "application/problem+json"),  # a list, whatever is in it
        (413, "application/problem+json"),
    ]


async def test_a_request_says_how_it_is_known(api: Caller) -> None:
    nameless = await api.call("POST", "/v1/messages", order_update(1), **{"Idempotency-Key": ""})

    assert nameless.status == 400
    assert nameless.body["errors"][0]["header"] == "Idempotency-Key"


async def test_paths_and_methods_that_there_are_not(api: Caller) -> None:
    nowhere = await api.call("GET", "/v1/people")
    wrong = await api.call("DELETE", "/v1/messages")
    number = await api.call("GET", "/v1/messages/1")

    assert [nowhere.status, wrong.status, number.status] == [404, 405, 404]
    assert wrong.headers["Allow"] == "POST"
    assert wrong.headers["Content-Type"] == "application/problem+json"


# ------------------------------------------------------------------ keys


async def test_without_a_valid_key_nothing_is_told(whole: Whole, api: Caller) -> None:
    wrong = {
        "none": "",
        "other scheme": f"Basic {api.key}",
        "cut": f"Bearer {api.key[:-1]}",
        "guessed": f"Bearer {api.key[:-4]}AAAA",
        "of nobody": f"Bearer sbk_{'0' * 32}_{'A' * 43}",
    }
    for authorization in wrong.values():
        answer = await api.call("GET", "/v1/messages/1", Authorization=authorization)
        assert (answer.status, answer.body["type"]) == (401, "urn:smarterbot:problem:key")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_does_what_its_scopes_say(whole: Whole) -> None:
    reads = await caller_of(
        *(whole.settings, whole.stores, whole.http, whole.server.address),
        scopes=("messages:read",),
    )

    sent = await reads.send(1)
    begun = await reads.call("POST", "/v1/campaigns", campaign(1))

    assert (sent.status, begun.status) == (403, 403)
    assert "messages:send" in sent.body["detail"]


async def test_a_key_has_a_limit(whole: Whole) -> None:
    slow = await caller_of(
        *(whole.settings, whole.stores, whole.http, whole.server.address), per_minute=12
    )

    answers = [await slow.call("GET", f"/v1/messages/{uuid4()}") for _ in range(4)]

    assert [answer.status for answer in answers] == [404, 404, 429, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 5


async def test_a_key_that_was_made_where_no_process_heard_of_it_is_looked_for(
    whole: Whole,
) -> None:
    new = await make_key(whole.stores, whole.settings.keys, publish=False)
    stranger = Caller(whole.http, whole.server.address, new.key)

    async def is_known() -> bool:
        return (await stranger.call("GET", f"/v1/messages/{uuid4()}")).status == 404

    await until(is_known, within_s=5)


# ------------------------------------------------------------------ one firm and another


async def test_from_a_demo_number_nothing_is_sent_unasked(whole: Whole, api: Caller) -> None:
    [channel] = whole.server.directory.channels()
    async with Database.open(whole.stores.postgres.app) as database:
        await mark_channel(database, channel.id, Mark.DEMO, tenant=channel.tenant)
        wire = await Wire.open(whole.stores.redis_url)
        await publish_directory(database, wire, SecretBox(whole.settings.keys))
        await wire.close()
    await whole.server.directory.check()

    named = await api.send(1, {"channel": channel.id})
    unnamed = await api.send(1)

    assert (
        (named.status, named.pointers) == (unnamed.status, unnamed.pointers) == (422, ["/channel"])
    )


@pytest.fixture
async def rival(whole: Whole) -> Caller:
    return await a_rival(whole)


async def test_a_firm_neither_sees_nor_touches_what_is_anothers(
    whole: Whole, api: Caller, rival: Caller
) -> None:
    await writes(whole, 1)
    sent = await api.send(1)
    fate = await api.fate_is(sent.body["id"], "delivered", "read")
    begun = await api.call("POST", "/v1/campaigns", campaign(1, 2))
    theirs = begun.body["id"]

    asked = [
        await rival.call("GET", f"/v1/messages/{sent.body['id']}"),
        await rival.call("GET", f"/v1/campaigns/{theirs}"),
        await rival.call("GET", f"/v1/campaigns/{theirs}/messages"),
        await rival.call("POST", f"/v1/campaigns/{theirs}/cancel"),
    ]
    assert [answer.status for answer in asked] == [404] * 4

    channel = await rival.send(1, {"channel": fate["channel"]})
    contact = await rival.send(1, {"to": {"contact": fate["contact"]}})
    assert (channel.status, channel.pointers) == (422, ["/channel"])
    assert (contact.status, contact.pointers) == (422, ["/to/contact"])
    assert (await api.call("GET", f"/v1/campaigns/{theirs}")).body["status"] != "cancelled"


async def test_keys_of_idempotency_are_each_firms_own(
    whole: Whole, api: Caller, rival: Caller
) -> None:
    ours = await api.send(1, once="1")
    theirs = await rival.send(2, once="1")

    assert (ours.status, theirs.status) == (202, 202)
    assert ours.body["id"] != theirs.body["id"]
    assert (await rival.call("GET", f"/v1/messages/{ours.body['id']}")).status == 404


# ------------------------------------------------------------------ campaigns


def campaign(*people: int, **changes: object) -> dict[str, Any]:
    return {
        "title": "Precios de diciembre",
        "recipients": [price_list(n) for n in people],
        "per_minute": 6_000,
        **changes,
    }


async def test_a_campaign_reaches_everybody_once_and_tells_how_far_it_is(
    whole: Whole, api: Caller
) -> None:
    people = range(1, 31)
    for n in people:
        await whole.people.join(n)

    begun = await api.call("POST", "/v1/campaigns", campaign(*people), once="december")
    again = await api.call("POST", "/v1/campaigns", campaign(*people), once="december")

    assert (begun.status, begun.body) == (202, again.body)
    id = begun.body["id"]
    done = await api.progress_is(id, "done")
    assert (done["size"], done["released"]) == (30, 30)

    async def delivered() -> bool:
        progress = (await api.call("GET", f"/v1/campaigns/{id}")).body
        return sum(int(progress["fates"].get(s, 0)) for s in ("delivered", "read")) == 30

    await until(delivered, within_s=20)
    assert {len(said) for said in (await whole.people.replies()).values()} == {1}

    page = (await api.call("GET", f"/v1/campaigns/{id}/messages?start=20&limit=5")).body
    assert (len(page["messages"]), page["next"]) == (5, 25)
    one = await api.fate(page["messages"][0]["id"])
    assert one["campaign"] == id


async def test_nothing_of_a_campaign_with_a_mistake_is_done(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    wrong = campaign(1, 2, 1)
    wrong["recipients"][1]["to"] = {"phone": "+5691"}

    bad = await api.call("POST", "/v1/campaigns", wrong, once="same-key")
    wrong["recipients"][1] = price_list(2)
    twice = await api.call("POST", "/v1/campaigns", wrong, once="same-key")
    good = await api.call("POST", "/v1/campaigns", campaign(1), once="same-key")

    assert (bad.status, bad.pointers) == (422, ["/recipients/1/to/phone"])
    assert (twice.status, twice.pointers) == (422, ["/recipients/2/to"])
    assert good.status == 202
    await api.progress_is(good.body["id"], "done")
    assert len(await heard(whole, 1)) <= 1


async def test_a_campaign_is_paused_resumed_and_cancelled(whole: Whole, api: Caller) -> None:
    begun = await api.call("POST", "/v1/campaigns", campaign(*range(1, 40), per_minute=120))
    path = f"/v1/campaigns/{begun.body['id']}"

    paused = await api.call("POST", f"{path}/pause")
    assert (paused.status, paused.body["order"]) == (202, "pause")
    at = (await api.progress_is(begun.body["id"], "paused"))["released"]
    whole.server.clock.shift(60_000)
    await asyncio.sleep(1.5)
    still = (await api.call("GET", path)).body
    assert (still["status"], still["released"]) == ("paused", at)

    await api.call("POST", f"{path}/resume")
    await api.progress_is(begun.body["id"], "running")
    await api.call("POST", f"{path}/cancel")
    ended = await api.progress_is(begun.body["id"], "cancelled")
    assert ended["released"] < 39
    assert ended["fates"]["refused"] >= 39 - ended["released"]
    page = (await api.call("GET", f"{path}/messages?start=38")).body
    assert (page["messages"][0]["status"], page["messages"][0]["reason"]) == (
        "refused",
        "cancelled",
    )


async def test_nobody_is_woken_by_a_campaign(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    whole.server.clock.shift(10 * HOUR_MS)  # 22:00

    begun = await api.call("POST", "/v1/campaigns", campaign(1))
    id = begun.body["id"]

    async def rests() -> bool:
        return bool((await api.call("GET", f"/v1/campaigns/{id}")).body.get("waits_for"))

    await until(rests, within_s=10)
    assert (await api.call("GET", f"/v1/campaigns/{id}")).body["waits_for"] == "quiet_hours"
    assert await heard(whole, 1) == []

    whole.server.clock.shift(11 * HOUR_MS)  # 9:00
    await api.progress_is(id, "done")


async def test_a_person_gets_no_more_of_campaigns_than_the_cap(whole: Whole, api: Caller) -> None:
    await whole.people.join(1)
    first = await api.call("POST", "/v1/campaigns", campaign(1))
    await api.progress_is(first.body["id"], "done")

    second = await api.call("POST", "/v1/campaigns", campaign(1))

    [fate] = (await settled(api, second.body["id"]))["messages"]
    assert (fate["status"], fate["reason"]) == ("refused", "contact_cap")
    whole.server.clock.shift(24 * HOUR_MS)
    third = await api.call("POST", "/v1/campaigns", campaign(1))
    [fate] = (await settled(api, third.body["id"]))["messages"]
    assert fate["status"] in ("sent", "delivered", "read")


async def settled(api: Caller, id: str) -> dict[str, Any]:
    """A campaign's messages, once none of them is on its way to Meta."""
    page: dict[str, Any] = {}

    async def is_so() -> bool:
        nonlocal page
        page = (await api.call("GET", f"/v1/campaigns/{id}/messages")).body
        return all(one["status"] not in ("accepted", "waiting") for one in page["messages"])

    await until(is_so, within_s=20)
    return page


async def test_a_campaign_keeps_within_a_limit_of_its_own(whole: Whole, api: Caller) -> None:
    for n in (1, 2, 3):
        await whole.people.join(n)
    begun = await api.call("POST", "/v1/campaigns", campaign(1, 2, 3, spend_max=100))
    path = f"/v1/campaigns/{begun.body['id']}"

    async def rests() -> bool:
        return bool((await api.call("GET", path)).body.get("waits_for") == "spend_max")

    await until(rests, within_s=10)
    # Marketing in Chile: 84 pesos a message.
    assert (await api.call("GET", path)).body["released"] == 1


# ------------------------------------------------------------------ the document


async def test_the_document_is_valid_and_its_examples_are_accepted(
    whole: Whole, api: Caller
) -> None:
    document = await described(whole)

    openapi_spec_validator.validate(document)
    for path, once in (("/v1/messages", "a"), ("/v1/campaigns", "b")):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        example = content["application/json"]["example"]
        jsonschema.validate(
            example, {**schema_of(document, content), "components": document["components"]}
        )
        assert (await api.call("POST", path, example, once=once)).status == 202


async def described(whole: Whole) -> dict[str, Any]:
    async with whole.http.get(f"{whole.server.address}/openapi.json") as answer:
        found: dict[str, Any] = await answer.json()
        return found


def schema_of(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


async def test_every_route_that_is_documented_answers_as_documented(
    whole: Whole, api: Caller
) -> None:
    document = await described(whole)
    await whole.people.join(1)
    message = (await api.send(1)).body["id"]
    begun = (await api.call("POST", "/v1/campaigns", campaign(2))).body["id"]
    bodies = {"sendMessage": order_update(1), "createCampaign": campaign(3)}
    ours = {path: of for path, of in document["paths"].items() if path.startswith("/v1/")}
    for path, operations in ours.items():
        for method, operation in operations.items():
            id = message if "/messages/" in path and "campaigns" not in path else begun
            answer = await api.call(
                method.upper(), path.replace("{id}", id), bodies.get(operation["operationId"])
            )
            told = operation["responses"][str(answer.status)]
            assert answer.status < 300, (operation["operationId"], answer)
            schema = schema_of(document, told["content"])
            jsonschema.validate(answer.body, {**schema, "components": document["components"]})

            unkeyed = await api.call(
                *(method.upper(), path.replace("{id}", id), bodies.get(operation["operationId"])),
                Authorization="",
            )
            assert unkeyed.status == 401


# ------------------------------------------------------------------ what operators see


async def test_nothing_that_operators_see_tells_who_was_written_to(
    whole: Whole, api: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    await whole.people.join(7)
    secret = {**update(7), "name": "Rosamunda", "order": "secreto-1042"}
    sent = await api.send(7, {"message": secret})
    await api.send(7, {"message": {**secret, "status": "lost"}})
    begun = await api.call("POST", "/v1/campaigns", campaign(7))
    await api.progress_is(begun.body["id"], "done")
    await api.fate_is(sent.body["id"], "delivered", "read")

    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()
    async with redis.from_url(whole.stores.redis_url) as store:
        names = [*await store.keys("*")]
        for key in tuple(names):
            if await store.type(key) == b"hash":
                names += await store.hkeys(key)
    seen = capfd.readouterr()
    key = api.key[-43:]

    for told in (seen.out, seen.err, metrics, repr(names)):
        for private in (phone_of(7), "Rosamunda", "secreto", key):
            assert private not in told


# ------------------------------------------------------------------ the README


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_lines_of_the_readme_work(whole: Whole, api: Caller) -> None:
    told = README.read_text()
    section = told[told.index("## Send from your own system") : told.index("## Before a campaign")]
    lines = "\nsleep 1\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    for said, here in (
        (".venv/bin/smarterbot", str(Path(sys.executable).parent / "smarterbot")),
        ("http://127.0.0.1:8000", whole.server.address),
        ("$api/api/people", f"{whole.settings.graph_url}/api/people"),
    ):
        assert said in lines
        lines = lines.replace(said, here)
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-e", "-c", lines),
        env={
            "PATH": os.defpath,
            "DATABASE_URL": whole.stores.postgres.app,
            "REDIS_URL": whole.stores.redis_url,
            "SMARTERBOT_KEYS": KEYS,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await shell.communicate()

    assert shell.returncode == 0
    answers = out.decode()
    assert answers.count("202 Accepted") == 2
    [message, _] = re.findall(r"Location: /v1/[a-z]+/([0-9a-f-]{36})", answers)
    assert answers.count(f'"id":"{message}"') == 2  # it was asked what became of it
    await api.fate_is(message, "delivered", "read")

    async def offered() -> bool:
        return any("lista de precios" in text for text in (await whole.people.replies())["p1"])

    await until(offered, within_s=10)
