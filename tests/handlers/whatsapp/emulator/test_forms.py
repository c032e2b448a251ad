"""The emulator's forms: Meta's API of keys and forms, and the phone that shows them, against a scripted endpoint."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from handlers.whatsapp.emulator.forms import MetaForm, put_json
from handlers.whatsapp.form_cipher import CipherError, Envelope, FormKey
from tests.handlers.whatsapp.emulator.stage import ANA, JSON, SOL, Answer, Stage, interactive, items

KEY: Final = FormKey.new()
NEXT_KEY: Final = FormKey.new()
Told = tuple[int, object]


def screen(id: str, action: JSON, **more: object) -> JSON:
    children = [
        {"type": "TextBody", "text": "Para ${data.who}"},
        {"type": "TextInput", "name": "cake", "label": "Torta", "required": True},
        {"type": "Footer", "label": "Seguir", "on-click-action": action},
    ]
    data = {"who": {"type": "string", "__example__": "Ana"}}
    layout = {"type": "SingleColumnLayout", "children": children}
    return {"id": id, "title": id.title(), "data": data, "layout": layout, **more}


def form(*screens: JSON, **more: object) -> JSON:
    return {"version": "7.0", "screens": list(screens), **more}


NAVIGATE: Final[JSON] = {
    "name": "navigate",
    "next": {"type": "screen", "name": "LAST"},
    "payload": {"who": "${form.cake} de ${data.who}"},
}
COMPLETE: Final[JSON] = {
    "name": "complete",
    "payload": {"cake": "${form.cake}", "who": "${data.who}"},
}
EXCHANGE: Final[JSON] = {"name": "data_exchange", "payload": {"cake": "${form.cake}"}}
STILL: Final = form(screen("FIRST", NAVIGATE), screen("LAST", COMPLETE, terminal=True))
ASKING: Final = form(
    screen("FIRST", EXCHANGE),
    screen("LAST", EXCHANGE, terminal=True, refresh_on_back=True),
    data_api_version="3.0",
    routing_model={"FIRST": ["LAST"], "LAST": []},
)


class Endpoint:
    """Answers the phone as the test says, with a key of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.key = KEY
        self.asked: list[JSON] = []
        self.answer: Callable[[JSON], Told] = lambda asked: (
            200,
            {"data": {"status": "active"}}
            if asked["action"] == "ping"
            else {"screen": "FIRST", "data": {"who": "Ana"}},
        )

    async def serve(self, request: web.Request) -> web.Response:
        try:
            text, reply = self.key.open(Envelope(**await request.json()))
        except CipherError:
            return web.Response(status=421)
        self.asked.append(json.loads(text))
        status, told = self.answer(self.asked[-1])
        return web.Response(status=status, text=reply.seal(json.dumps(told).encode()))


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.add_routes([web.post("/forms", endpoint.serve)])
    async with TestServer(app) as server:
        endpoint.url = str(server.make_url("/forms"))
        yield endpoint


class Desk:
    """The operator, and Ana's phone."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.form = ""

    async def graph(self, path: str, body: JSON | aiohttp.FormData) -> tuple[int, JSON]:
        headers = {"Authorization": f"Bearer {SOL.token}"}
        given: Any = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body}
        url = f"{self.stage.address}/v26.0/{path}"
        async with self.stage.http.post(url, headers=headers, **given) as answer:
            return answer.status, await answer.json()

    async def puts_key(self, key: FormKey = KEY) -> None:
        body: JSON = {"business_public_key": key.public_pem()}
        assert (await self.graph(f"{SOL.id}/whatsapp_business_encryption", body))[0] == 200

    async def makes(self, told: JSON, *, endpoint: str = "", publish: bool = True) -> str:
        _, made = await self.graph(
            f"{SOL.waba_id}/flows", {"name": "order", "categories": ["OTHER"]}
        )
        id = str(made["id"])
        body = aiohttp.FormData({"name": "flow.json", "asset_type": "FLOW_JSON"})
        body.add_field("file", json.dumps(told).encode(), filename="flow.json")
        _, uploaded = await self.graph(f"{id}/assets", body)
        assert uploaded["success"], uploaded
        if endpoint:
            await self.graph(id, {"endpoint_uri": endpoint})
        if publish:
            assert (await self.graph(f"{id}/publish", {}))[0] == 200
        return id

    async def sends(self, **parameters: object) -> tuple[int, JSON]:
        told = {
            "flow_message_version": "3", "flow_name": "order", "flow_cta": "Pedir", "flow_token": "t-1", **parameters,
        }  # fmt: skip
        answer = await self.stage.sends(
            interactive(
                {
                    "type": "flow",
                    "body": {"text": "¿Qué torta?"},
                    "action": {"name": "flow", "parameters": told},
                }
            )
        )
        return answer.status, answer.body

    async def opens(self, **parameters: object) -> JSON:
        status, body = await self.sends(**parameters)
        assert status == 200, body
        wamid = Answer(status, body).wamid
        ana = next(iter(self.stage.emulator.world.people))
        return await self.steps(f"chats/{SOL.id}/{ana}/form", {"message": wamid})

    async def submits(self, **values: object) -> JSON:
        ana = next(iter(self.stage.emulator.world.people))
        body: JSON = {"number": SOL.id, "person": ana, "values": values}
        return await self.steps(f"forms/{self.form}/submit", body)

    async def steps(self, path: str, body: JSON) -> JSON:
        shown = await self.stage.control("POST", path, body)
        self.form = str(shown.get("form") or self.form)
        return shown


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    await stage.knows(wa_id=ANA)
    return Desk(stage)


def where(shown: JSON) -> tuple[object, object]:
    """The screen, and its first words."""
    told: Any = shown["screen"]
    return told["id"], told["components"][0]["text"]


async def answered(stage: Stage) -> object:
    heard = await stage.hears_all()
    [message] = [message for body in heard for message in items(body, "messages")]
    told: Any = message["interactive"]
    return json.loads(told["nfm_reply"]["response_json"])


async def test_a_form_without_an_endpoint_goes_from_screen_to_screen(desk: Desk) -> None:
    await desk.makes(STILL)
    start = {"screen": "FIRST", "data": {"who": "Ana"}}
    assert where(await desk.opens(flow_action="navigate", flow_action_payload=start)) == (
        "FIRST", "Para Ana",
    )  # fmt: skip

    assert where(await desk.submits(cake="Mil hojas")) == ("LAST", "Para Mil hojas de Ana")
    assert where(await desk.steps(f"forms/{desk.form}/back", {})) == ("FIRST", "Para Ana")
    await desk.submits(cake="Selva negra")
    closed = await desk.submits(cake="una")

    assert (closed["form"], closed["screen"], closed["error"]) == ("", None, "")
    assert await answered(desk.stage) == {
        "cake": "una", "who": "Selva negra de Ana", "flow_token": "t-1",
    }  # fmt: skip


async def test_nobody_goes_on_without_what_is_required(desk: Desk) -> None:
    await desk.makes(STILL)
    await desk.opens(flow_action_payload={"screen": "FIRST", "data": {"who": "Ana"}})

    with pytest.raises(AssertionError, match="needed: cake"):
        await desk.submits(cake="")


async def test_an_endpoint_is_asked_at_the_opening_at_each_step_and_back(
    desk: Desk, endpoint: Endpoint
) -> None:
    await desk.puts_key()
    await desk.makes(ASKING, endpoint=endpoint.url)
    assert where(await desk.opens(flow_action="data_exchange")) == ("FIRST", "Para Ana")
    endpoint.answer = lambda _: (200, {"screen": "LAST", "data": {"who": "ti"}})
    assert where(await desk.submits(cake="Mil hojas")) == ("LAST", "Para ti")
    endpoint.answer = lambda _: (200, {"screen": "FIRST", "data": {"who": "Ana"}})

    assert where(await desk.steps(f"forms/{desk.form}/back", {})) == ("FIRST", "Para Ana")

    told = [(asked["action"], asked.get("screen"), asked.get("data")) for asked in endpoint.asked]
    assert told == [
        ("ping", None, None),
        ("INIT", None, None),
        ("data_exchange", "FIRST", {"cake": "Mil hojas"}),
        ("BACK", "LAST", None),
    ]
    assert {asked["flow_token"] for asked in endpoint.asked[1:]} == {"t-1"}


async def test_success_closes_it_with_the_endpoints_own_answer(
    desk: Desk, endpoint: Endpoint
) -> None:
    await desk.puts_key()
    await desk.makes(ASKING, endpoint=endpoint.url)
    await desk.opens(flow_action="data_exchange")
    params = {"flow_token": "t-1", "order": 7}
    told = {"screen": "SUCCESS", "data": {"extension_message_response": {"params": params}}}
    endpoint.answer = lambda _: (200, told)

    await desk.submits(cake="Mil hojas")

    assert await answered(desk.stage) == params


async def test_the_phone_fetches_another_key_only_when_it_is_told_to(
    desk: Desk, endpoint: Endpoint
) -> None:
    await desk.puts_key()
    await desk.makes(ASKING, endpoint=endpoint.url)
    await desk.puts_key(NEXT_KEY)
    assert where(await desk.opens(flow_action="data_exchange"))[0] == "FIRST"

    endpoint.key = NEXT_KEY

    assert where(await desk.opens(flow_action="data_exchange"))[0] == "FIRST"
    endpoint.key = FormKey.new()
    lost = await desk.opens(flow_action="data_exchange")
    assert (lost["status"], lost["error"]) == (421, "broken")


@pytest.mark.parametrize(
    ("status", "told", "shown"),
    [
        pytest.param(427, {"error_msg": "Ya venció"}, "Ya venció", id="over"),
        pytest.param(500, {}, "broken", id="stumbles"),
        pytest.param(432, {}, "broken", id="bad-signature"),
    ],
)
async def test_a_form_that_cannot_go_on_is_closed(
    desk: Desk, endpoint: Endpoint, status: int, told: JSON, shown: str
) -> None:
    await desk.puts_key()
    await desk.makes(ASKING, endpoint=endpoint.url)
    endpoint.answer = lambda _: (status, told)

    closed = await desk.opens(flow_action="data_exchange")

    assert (closed["screen"], closed["error"], closed["status"]) == (None, shown, status)


@pytest.mark.parametrize("name", ["NOWHERE", 7])
async def test_a_screen_that_is_not_there_is_told_to_the_endpoint(
    desk: Desk, endpoint: Endpoint, name: object
) -> None:
    await desk.puts_key()
    await desk.makes(ASKING, endpoint=endpoint.url)
    endpoint.answer = lambda _: (200, {"screen": name, "data": {}})

    assert (await desk.opens(flow_action="data_exchange"))["error"] == "broken"

    notice: Any = endpoint.asked[-1]["data"]
    assert notice["error"] == "INVALID_SCREEN_TRANSITION"


async def test_a_form_is_published_only_if_its_endpoint_is_there(
    desk: Desk, endpoint: Endpoint
) -> None:
    id = await desk.makes(ASKING, endpoint=endpoint.url, publish=False)
    status, body = await desk.sends(flow_action="data_exchange")
    assert (status, body["error"]["code"]) == (400, 131009)  # type: ignore[index]  # a draft
    assert (await desk.sends(flow_action="data_exchange", mode="draft"))[0] == 200

    assert (await desk.graph(f"{id}/publish", {}))[0] == 400  # without a key
    await desk.puts_key()
    endpoint.answer = lambda _: (200, {"data": {"status": "tired"}})
    assert (await desk.graph(f"{id}/publish", {}))[0] == 400
    endpoint.answer = lambda _: (200, {"data": {"status": "active"}})
    assert (await desk.graph(f"{id}/publish", {}))[0] == 200
    health = await desk.stage.control("POST", f"numbers/{SOL.id}/ping", {"form": "order"})
    assert (health["error"], health["status"]) == ("", 200)


@pytest.mark.parametrize(
    "pem", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
async def test_a_key_that_is_none_is_refused(desk: Desk, pem: str) -> None:
    path = f"{SOL.id}/whatsapp_business_encryption"

    assert (await desk.graph(path, {"business_public_key": pem}))[0] == 400


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        pytest.param(form(version="7.4"), "version", id="version"),
        pytest.param(form(), "at least one screen", id="no-screen"),
        pytest.param(form(screen("SUCCESS", COMPLETE)), "reserved", id="reserved"),
        pytest.param(
            form(screen("A", {"name": "complete", "payload": {"x": "${form.rut}"}})),
            "Missing dynamic data",
            id="unknown-field",
        ),
    ],
)
def test_what_is_wrong_in_a_forms_json_is_told(told: JSON, wrong: str) -> None:
    found = put_json(MetaForm(id="1", waba="2", name="f"), json.dumps(told).encode())

    assert any(wrong in each for each in found)
