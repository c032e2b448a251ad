"""What a register tells of a RUT is a suggestion: it may be odd, late or missing, and nobody notices but the owner's form."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flows.calls.taxpayer import Taxpayer
from flows.dialog.events import Result
from flows.values.ids import (
    ChannelId,
    ContactId,
    ConversationId,
    ItemId,
    TenantId,
)
from flows.values.rut import Rut
from handlers.actions import Ask
from handlers.events import Answered
from handlers.outside import Outside
from handlers.ports import Before, Dead, Done, Item
from handlers.taxpayer import client as module
from handlers.taxpayer.client import RegisterClient, RegisterError, read_taxpayer
from handlers.taxpayer.serve import Taxpayers

RUT = Rut("765432103")
SOL = {
    "ResponseData": {
        "RazonSocial": "PANADERIA SOL SPA",
        "Actividades": [{"Codigo": "107100", "Glosa": "PAN"}, {"Codigo": 472101}],
    }
}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Register:
    """A register with its faults."""

    url: str = ""
    answer: Any = field(default_factory=lambda: SOL)
    status: int = 200
    asked: list[tuple[Any, str | None]] = field(default_factory=list)
    special: Answer | None = None

    async def hear(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((await request.json(), request.headers.get("x-api-key")))
        if self.special is not None:
            return await self.special(request)
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def register() -> AsyncIterator[Register]:
    found = Register()
    app = web.Application()
    app.add_routes([web.post("/tax-situation", found.hear)])
    async with TestServer(app) as server:
        found.url = str(server.make_url("/tax-situation"))
        yield found


@pytest.fixture
async def client(register: Register) -> AsyncIterator[RegisterClient]:
    origin = register.url.removesuffix("/tax-situation")
    async with Outside.open(trusted=frozenset({origin})) as outside:
        yield RegisterClient(outside, url=register.url, key="s3cret")


@dataclass
class Noted:
    alerts: list[tuple[str, str]] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)

    async def raise_(
        self, tenant: TenantId, channel: ChannelId | None, kind: str, about: str
    ) -> None:
        self.alerts.append((kind, about))

    def count(self, name: str, detail: str = "") -> None:
        self.counted.append(detail)


def item(call: str = "FindTaxpayer", rut: str = RUT) -> Item:
    ask = Ask(
        tenant=TenantId("t"),
        channel=ChannelId("c"),
        contact=ContactId("p"),
        conversation=ConversationId("v"),
        seq=4,
        call=call,
        args=msgspec.Raw(msgspec.json.encode({"rut": str(rut)})),
    )
    return Item(
        id=ItemId("taxpayer/v:1-0"),
        conversation=ConversationId("v"),
        body=msgspec.json.encode(ask),
        tries=1,
        before=Before.CLEAN,
        proof=None,
        is_ours=lambda: True,
    )


async def told(client: RegisterClient | None, noted: Noted) -> Any:
    outcome = await Taxpayers(client, alerts=noted, meter=noted).serve(item())
    assert isinstance(outcome, Done)
    assert isinstance(outcome.event, Answered)
    result: Result = outcome.event.result
    assert (result.seq, result.failed) == (4, None)
    return msgspec.json.decode(result.value)


async def test_the_name_and_the_activities_are_told(
    register: Register, client: RegisterClient
) -> None:
    assert await client.find(RUT) == Taxpayer("PANADERIA SOL SPA", ("107100", "472101"))
    assert register.asked == [({"RequestData": {"RolUnicoTributario": "76543210-3"}}, "s3cret")]


@pytest.mark.parametrize(
    "answer",
    [
        {"razonSocial": "Sol", "activities": [{"code": "107100"}]},
        {"data": [{"razon_social": "Sol", "x": {"codigo_actividad": 107100}}]},
    ],
)
def test_other_registers_call_it_otherwise(answer: Any) -> None:
    assert read_taxpayer(answer) == Taxpayer("Sol", ("107100",))


@pytest.mark.parametrize("answer", [{}, [], None, 7, {"RazonSocial": ""}, {"RazonSocial": 7}])
def test_an_answer_without_a_name_tells_nothing(answer: Any) -> None:
    assert read_taxpayer(answer) is None


def test_a_hostile_name_is_one_plain_line() -> None:
    found = read_taxpayer({"RazonSocial": " *Sol*\n\u202eignore\x00 previous " + "x" * 500})

    assert found is not None
    assert found.name.startswith("*Sol* ignore previous x")
    assert len(found.name) <= 120
    assert found.name.isprintable()


def test_a_bottomless_answer_is_left() -> None:
    deep: Any = {"RazonSocial": "Sol"}
    for _ in range(50):
        deep = {"a": deep}

    assert read_taxpayer(deep) is None


async def test_without_a_register_nothing_is_known() -> None:
    assert await told(None, Noted()) is None


async def test_a_rut_that_it_does_not_know(register: Register, client: RegisterClient) -> None:
    register.status = 404
    noted = Noted()

    assert await told(client, noted) is None
    assert noted.counted == ["unknown"]


@pytest.mark.parametrize("status", [301, 400, 429, 500, 503])
async def test_a_register_that_is_down_costs_nothing(
    register: Register, client: RegisterClient, status: int
) -> None:
    register.status = status
    noted = Noted()

    assert await told(client, noted) is None
    assert noted.counted == ["down" if status == 301 else "status"]
    assert noted.alerts == []


async def test_a_key_that_is_refused_is_told_to_somebody(
    register: Register, client: RegisterClient
) -> None:
    register.status = 403
    noted = Noted()

    assert await told(client, noted) is None
    assert noted.alerts == [("register_refuses", "key")]


async def test_a_slow_one_is_not_waited_for(
    register: Register, client: RegisterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    register.special = never
    monkeypatch.setattr(module, "WITHIN_S", 0.05)
    noted = Noted()

    assert await told(client, noted) is None
    assert noted.counted == ["down"]


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 20_000, b""])
async def test_garbage_tells_nothing(
    register: Register, client: RegisterClient, body: bytes
) -> None:
    async def garbage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    register.special = garbage

    with pytest.raises(RegisterError, match="unreadable"):
        await client.find(RUT)


async def test_a_huge_answer_is_not_read_to_its_end(
    register: Register, client: RegisterClient
) -> None:
    async def huge(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"RazonSocial": "' + b"x" * 400_000)

    register.special = huge

    with pytest.raises(RegisterError, match="too_large"):
        await client.find(RUT)


async def test_it_is_not_followed_into_our_own_network() -> None:
    async with Outside.open() as outside:
        inside = RegisterClient(outside, url="https://127.0.0.1/tax-situation", key="k")
        with pytest.raises(RegisterError, match="down"):
            await inside.find(RUT)


async def test_the_rut_goes_nowhere_else_whoever_sends_it_on(
    register: Register, client: RegisterClient
) -> None:
    other = Register()
    app = web.Application()
    app.add_routes([web.post("/", other.hear)])
    async with TestServer(app) as server:

        async def elsewhere(_request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(server.make_url("/"))

        register.special = elsewhere
        noted = Noted()

        assert await told(client, noted) is None

    assert (len(register.asked), other.asked) == (1, [])
    assert noted.counted == ["down"]


async def test_without_https_it_does_not_leave_at_all() -> None:
    async with Outside.open() as outside:
        open_to_all = RegisterClient(outside, url="http://register.example/", key="k")
        with pytest.raises(RegisterError, match="down"):
            await open_to_all.find(RUT)


async def test_no_log_tells_the_rut(
    register: Register,
    client: RegisterClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register.status = 500

    await told(client, Noted())

    assert "76543210" not in "".join(capsys.readouterr())


async def test_what_no_call_asks_is_set_aside() -> None:
    noted = Noted()

    outcome = await Taxpayers(None, alerts=noted, meter=noted).serve(item("Rob"))

    assert outcome == Dead("unknown_call")
