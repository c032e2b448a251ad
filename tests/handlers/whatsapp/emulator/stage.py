"""A bot on a stage: a scripted HTTP server that hears the emulator's webhooks and speaks to its Graph API."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
from aiohttp import web

from handlers.whatsapp.emulator.faults import Faults
from handlers.whatsapp.emulator.phones import Pace
from handlers.whatsapp.emulator.server import Emulator
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.webhooks import Retries
from handlers.whatsapp.emulator.world import Number, NumberId, Person

JSON = dict[str, object]

NOW_MS = 1_795_286_400_000  # 2026-11-21T18:40:00Z
HOUR_MS = 3_600_000
SECRET = "app-secret"
SOL = Number(
    id=NumberId("1001"),
    waba_id="2001",
    display_phone="+56 2 2345 6789",
    name="Panadería Sol",
    token="TOKEN-SOL",
    portfolio_id="sol",
)
LUNA = Number(
    id=NumberId("1002"),
    waba_id="2002",
    display_phone="+56 2 2345 0000",
    name="Panadería Luna",
    token="TOKEN-LUNA",
    portfolio_id="luna",
)
ANA = "56912345678"
PATIENCE_S = 10.0


Hear = Callable[[web.Request], Awaitable[web.Response]]


class FrozenClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    async def shift(self, ms: int) -> None:
        self.ms += ms


@dataclass(frozen=True)
class Hook:
    """One webhook as it arrived."""

    raw: bytes
    signature: str

    @property
    def body(self) -> JSON:
        return msgspec.json.decode(self.raw, type=JSON)


@dataclass
class Answer:
    """One Graph answer."""

    status: int
    body: JSON

    @property
    def error(self) -> JSON:
        error = self.body["error"]
        assert isinstance(error, dict)
        return error

    @property
    def wamid(self) -> str:
        return msgspec.convert(self.body, _Sent).messages[0].id


class _Id(msgspec.Struct):
    id: str


class _Sent(msgspec.Struct):
    messages: list[_Id]


@dataclass
class Stage:
    """The emulator, the bot and the control API, with the verbs of a test."""

    emulator: Emulator
    clock: FrozenClock
    address: str
    http: aiohttp.ClientSession
    hooks: asyncio.Queue[Hook] = field(default_factory=asyncio.Queue)
    """What the bot heard and the test has not looked at."""
    answers: deque[int] = field(default_factory=deque)
    """HTTP statuses of the bot's next answers; 200 when empty."""
    bot: Hear | None = None
    """Hears the webhooks instead of the queue."""

    # -------------------------------------------------------------- people

    async def person(self, name: str = "Ana", **given: object) -> Person:
        answer = await self.control("POST", "people", {"name": name, **(given or {"wa_id": ANA})})
        return msgspec.convert(answer, Person)

    async def acts(self, person: Person, /, **what: object) -> JSON:
        """The person does something in the chat with Sol; answers the message."""
        return await self.control("POST", f"chats/{SOL.id}/{person.id}/messages", what)

    async def writes(self, person: Person, body: str = "hola") -> str:
        """The person writes; answers the wamid."""
        return str((await self.acts(person, type="text", body=body))["wamid"])

    async def knows(self, name: str = "Ana", **given: object) -> Person:
        """A person who has written, and whose webhook the bot has had."""
        person = await self.person(name, **given)
        await self.writes(person)
        await self.hears()
        await self.emulator.settled()
        return person

    async def watches(self, person: Person, *, watching: bool = True) -> None:
        await self.control("POST", f"chats/{SOL.id}/{person.id}/watch", {"watching": watching})

    # -------------------------------------------------------------- the bot

    async def hears(self) -> JSON:
        """The body of the next webhook."""
        return (await self.hears_raw()).body

    async def hears_raw(self) -> Hook:
        async with asyncio.timeout(PATIENCE_S):
            return await self.hooks.get()

    async def hears_all(self) -> list[JSON]:
        """Every webhook until nothing is under way."""
        await self.emulator.settled()
        return [self.hooks.get_nowait().body for _ in range(self.hooks.qsize())]

    async def hears_statuses(self) -> list[JSON]:
        return [item for body in await self.hears_all() for item in items(body, "statuses")]

    async def sends(self, body: JSON, *, number: Number = SOL, token: str | None = None) -> Answer:
        """The bot posts to `/messages`; what is missing of the usual fields is filled in."""
        url = f"{self.address}/v26.0/{number.id}/messages"
        headers = {"Authorization": f"Bearer {number.token if token is None else token}"}
        payload = {"messaging_product": "whatsapp", **body}
        async with self.http.post(url, json=payload, headers=headers) as answer:
            return Answer(answer.status, await answer.json())

    # -------------------------------------------------------------- the control API

    async def control(self, method: str, path: str, body: JSON | None = None) -> JSON:
        async with self.http.request(method, f"{self.address}/api/{path}", json=body) as answer:
            value: JSON = await answer.json()
            assert answer.ok, value
            return value

    async def faults(self, **changes: int) -> Faults:
        return msgspec.convert(await self.control("PUT", f"faults/{SOL.id}", dict(changes)), Faults)

    async def shift(self, ms: int) -> None:
        await self.control("POST", "shift", {"ms": ms})

    async def until_all_wait(self, count: int = 1) -> None:
        """Return once only a move of the clock can bring anything on."""
        async with asyncio.timeout(PATIENCE_S):
            while self.emulator.waiting < count:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.001)

    # -------------------------------------------------------------- within

    async def hear(self, request: web.Request) -> web.Response:
        if self.bot is not None:
            return await self.bot(request)
        hook = Hook(await request.read(), request.headers.get("X-Hub-Signature-256", ""))
        self.hooks.put_nowait(hook)
        return web.Response(status=self.answers.popleft() if self.answers else 200)


@asynccontextmanager
async def on_stage(
    *,
    numbers: Sequence[Number] = (SOL, LUNA),
    pace: Pace | None = None,
    retries: Retries | None = None,
    prefix: str = "",
) -> AsyncIterator[Stage]:
    """A stage with a frozen clock. Steps follow each other at once unless a pace is given.

    With a prefix the emulator is a part of another application.
    """
    clock = FrozenClock()
    emulator = Emulator(
        callback_url="",
        app_secret=SECRET,
        numbers=numbers,
        clock=clock,
        templates=read_templates(SAMPLES),
        on_shift=clock.shift,
        pace=pace or Pace(0, 0, 0),
        retries=retries or Retries(first_ms=0, longest_ms=0, attempts_max=5),
        salt="test",
    )
    app = web.Application(client_max_size=4 * 2**20)
    async with aiohttp.ClientSession() as http:
        stage = Stage(emulator, clock, "", http)
        app.router.add_post("/hook", stage.hear)
        if prefix:
            app.add_subapp(prefix, emulator.application())
        else:
            emulator.mount(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host = f"http://127.0.0.1:{runner.addresses[0][1]}"
            stage.address = host + prefix
            emulator.callback_url = f"{host}/hook"
            yield stage
        finally:
            await runner.cleanup()


# ------------------------------------------------------------------ reading and writing bodies


def changes(body: JSON) -> list[JSON]:
    """The values of all changes of a webhook."""
    return [
        change.value for entry in msgspec.convert(body, _Body).entry for change in entry.changes
    ]


def items(body: JSON, key: str) -> list[JSON]:
    """All `messages` or all `statuses` of a webhook."""
    return [
        item for value in changes(body) for item in msgspec.convert(value.get(key, []), list[JSON])
    ]


def texts(body: JSON) -> list[str]:
    """The words of all text messages of a webhook."""
    return [msgspec.convert(item, _Text).text.body for item in items(body, "messages")]


def failures(statuses: Sequence[JSON]) -> list[tuple[str, int]]:
    """Status and first error code of each."""
    read = msgspec.convert(statuses, list[_Failed])
    return [(status.status, status.errors[0].code) for status in read]


class _Words(msgspec.Struct):
    body: str


class _Text(msgspec.Struct):
    text: _Words


class _Error(msgspec.Struct):
    code: int


class _Failed(msgspec.Struct):
    status: str
    errors: list[_Error]


class _Change(msgspec.Struct):
    field: str
    value: JSON


class _Entry(msgspec.Struct):
    id: str
    changes: list[_Change]


class _Body(msgspec.Struct):
    object: str
    entry: list[_Entry]


def text(body: str = "Hola", **more: object) -> JSON:
    return {"to": ANA, "type": "text", "text": {"body": body}, **more}


def buttons(*titles: str, **more: object) -> JSON:
    replies = [
        {"type": "reply", "reply": {"id": f"id-{n}", "title": title}}
        for n, title in enumerate(titles)
    ]
    return interactive(
        {"type": "button", "body": {"text": "¿Sí?"}, "action": {"buttons": replies}, **more}
    )


def menu(sections: list[JSON], *, button: str = "Ver", **more: object) -> JSON:
    action = {"button": button, "sections": sections}
    return interactive({"type": "list", "body": {"text": "Elige"}, "action": action, **more})


def rows(count: int, first: int = 0) -> list[JSON]:
    return [{"id": f"r{n}", "title": f"Fila {n}"} for n in range(first, first + count)]


def link(title: str = "Ver", url: str = "https://sol.example/") -> JSON:
    parameters = {"display_text": title, "url": url}
    return interactive(
        {
            "type": "cta_url",
            "body": {"text": "Mira"},
            "action": {"name": "cta_url", "parameters": parameters},
        }
    )


def interactive(what: JSON) -> JSON:
    return {"to": ANA, "type": "interactive", "interactive": what}


REMINDER = {
    "nombre": "Ana",
    "servicio": "corte",
    "negocio": "Peluquería Norte",
    "fecha": "25 de noviembre",
    "hora": "17:00",
}


def reminder(
    values: dict[str, str] | None = None,
    *,
    language: str = "es_CL",
    parts: Sequence[Mapping[str, object]] = (),
) -> JSON:
    parameters = [
        {"type": "text", "parameter_name": name, "text": value}
        for name, value in (REMINDER if values is None else values).items()
    ]
    return template(
        "recordatorio_hora", {"type": "body", "parameters": parameters}, *parts, language=language
    )


def template(name: str, *components: Mapping[str, object], language: str = "es_CL") -> JSON:
    what = {"name": name, "language": {"code": language}, "components": list(components)}
    return {"to": ANA, "type": "template", "template": what}


def code(digits: str = "123456", in_button: str | None = None) -> JSON:
    return template(
        "codigo_ingreso",
        {"type": "body", "parameters": [{"type": "text", "text": digits}]},
        {
            "type": "button",
            "sub_type": "url",
            "index": "0",
            "parameters": [{"type": "text", "text": in_button or digits}],
        },
    )
