"""The control API, for the page and for tests. JSON in and out, times in ms since the epoch.

    GET  /api/state                         numbers, people, chats, faults, templates, now_ms, may_shift, pending
    POST /api/people                        {name, wa_id?, username?, hides_phone?} -> person
    GET  /api/chats                         summaries of all chats
    GET  /api/chats/{number}/{person}       {chat, messages}: oldest first
    POST /api/media/{number}?name=&type=    bytes, as application/octet-stream -> {id}: a file on the person's phone
    GET  /api/media/{id}                    the bytes of a file of either side
    POST /api/chats/{number}/{person}/messages   what the person does -> message; `type` is one of
             text {body, quotes?, ad?} · tap {message, id} (button or row of an interactive message, or the label of
             a template's button) · medium {kind, source, caption?, name?, voice?} (kind:
             image, video, audio, document, sticker; source: the id of a file) · image {caption?} · voice · sticker (samples) ·
             location {latitude, longitude,
             name?, address?, quotes?} · contacts {name, phone} · reaction {message, emoji} · unsupported {kind?} ·
             share_phone {message} (answers a request for it) · fill {message, values} (a form, of a message or a
             template: values is a JSON object) · edit {message, body} · revoke {message} (within WhatsApp's times;
             of the person's own messages, or of those written by hand) · owner {kind: text|image|voice, body?}
             (somebody of the business answers from their phone) · offers {wanted} (WhatsApp's setting for offers
             of this business; answers the chat)
    POST /api/people/{person}               what becomes of a person -> person; one of {wa_id} (another number, and so
             other BSUIDs), {renew_id: true} (other BSUIDs), {new_device: true}, and freely {username, hides_phone}
             template: values is a JSON object)
    POST /api/chats/{number}/{person}/form   {message}: the person opens the form of a message -> `form_client.Shown`;
             {known: false} for a form that was not uploaded here: only `fill` answers it
    POST /api/forms/{form}/submit            {number, person, values}: the button at the foot of its screen -> `Shown`
    POST /api/forms/{form}/back              {}: one screen back -> `Shown`
    POST /api/numbers/{number}/ping          {form}: Meta's health check of the endpoint of a form (its name) -> `Shown`
    POST /api/chats/{number}/{person}/watch {watching}: the person opens the chat (and reads it), or leaves it
    GET  /api/faults/{number}               the faults of a number
    PUT  /api/faults/{number}               some of the fields of `faults.Faults`; the others stay
    PUT  /api/templates/{number}            a template (fields of `templates.Template`): added or replaced
    PUT  /api/numbers/{number}              {free_service}: how many service messages of a month cost nothing
    GET  /api/bill                          what Meta bills: messages delivered, by number, month, category and type
    GET  /api/accounts/{number}             how the number stands at Meta (fields of `accounts.Standing`)
    PUT  /api/accounts/{number}             some of these fields; nobody is told
    POST /api/accounts/{number}/decisions   what Meta decides, told by its webhook; `type` is one of
             template {name, language, event, reason?, title?} (APPROVED, REJECTED, PAUSED, DISABLED, DELETED …) ·
             template_quality {name, language, quality} · template_category {name, language, category, soon?} ·
             number_quality {event, tier?} (THROUGHPUT_UPGRADE, FLAGGED …) · number_name {decision, reason?} ·
             account {event, ban?, restrictions?} · other {field, value}
    POST /api/signups                       what somebody chooses in the window of Embedded Signup (fields of
             `signups.Finish`) -> what it tells the page that opened it: {code, event, data}
    PUT  /api/signups                       {code_ms}: how long codes live
    POST /api/shift                         {ms}: moves the time forward
    POST /api/reset                         {}: forgets people, chats, faults and counts
    GET  /api/truth                         {world: what was heard and taken, by person; posted: webhooks; pending}
    POST /api/inject                        a JSON object, as it is: signed and posted to the bot as a webhook
    GET  /api/events                        server-sent events; see `feed`

A request with a body must be of type application/json: a foreign page cannot send that without asking first.
Errors are {error} with 400 (it cannot be done) or 409 (the time cannot be moved); 415 for another type.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.json import Decoder

from handlers.ports import Clock
from handlers.whatsapp.emulator.accounts import Accounts, Decision
from handlers.whatsapp.emulator.content import (
    Buttons,
    Card,
    Carousel,
    Filled,
    Form,
    Heard,
    Medium,
    Menu,
    Notice,
    PhoneRequest,
    Picture,
    Place,
    QuickReply,
    Reaction,
    SharedPhone,
    Sticker,
    Tapped,
    Text,
    Unsupported,
    Voice,
)
from handlers.whatsapp.emulator.faults import Board, Faults
from handlers.whatsapp.emulator.feed import Feed, PersonAdded, Reload, TimeMoved
from handlers.whatsapp.emulator.form_client import FormClient
from handlers.whatsapp.emulator.forms import FormStore
from handlers.whatsapp.emulator.media import Media
from handlers.whatsapp.emulator.phones import Phones
from handlers.whatsapp.emulator.signups import Finish, Signups
from handlers.whatsapp.emulator.templates import Template
from handlers.whatsapp.emulator.waits import Chores, Waits
from handlers.whatsapp.emulator.webhooks import Posted, Webhooks
from handlers.whatsapp.emulator.world import (
    Message,
    Number,
    NumberId,
    Person,
    PersonId,
    Summary,
    Truth,
    World,
    WorldError,
)

HEARTBEAT_S: Final = 15.0  # ours: shorter than the idle limit of proxies
FILE_BYTES_MAX: Final = 100 * 1_000_000  # Meta: of a document
SHIFT_MAX_MS: Final = 400 * 24 * 3_600_000

T = TypeVar("T")

OnShift = Callable[[int], Awaitable[None]]
"""Moves every clock that has to go along by so many ms."""


# ------------------------------------------------------------------ what is asked


class NewPerson(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    wa_id: str = ""
    username: str = ""
    hides_phone: bool = False


class Write(Text, frozen=True, tag="text", kw_only=True):
    quotes: str = ""
    ad: bool = False


class Tap(Struct, frozen=True, tag="tap"):
    message: str
    id: str


class Locate(Place, frozen=True, tag="location", kw_only=True):
    quotes: str = ""


class SharePhone(Struct, frozen=True, tag="share_phone"):
    message: str


class Fill(Struct, frozen=True, tag="fill"):
    message: str
    values: dict[str, object]


class Edit(Struct, frozen=True, tag="edit"):
    message: str
    body: str


class Revoke(Struct, frozen=True, tag="revoke"):
    message: str


class Owner(Struct, frozen=True, tag="owner"):
    body: str = ""
    kind: Literal["text", "image", "voice"] = "text"


class Offers(Struct, frozen=True, tag="offers"):
    wanted: bool


class Become(Struct, frozen=True, forbid_unknown_fields=True):
    wa_id: str = ""
    renew_id: bool = False
    new_device: bool = False
    username: str | None = None
    hides_phone: bool | None = None


ByHand = Text | Picture | Voice

Act = (
    Write
    | Tap
    | Locate
    | SharePhone
    | Fill
    | Edit
    | Revoke
    | Owner
    | Offers
    | Medium
    | Picture
    | Voice
    | Sticker
    | Card
    | Reaction
    | Unsupported
)


class OpenForm(Struct, frozen=True):
    message: str


class SubmitForm(Struct, frozen=True):
    number: NumberId
    person: PersonId
    values: dict[str, object]


class Watch(Struct, frozen=True):
    watching: bool


class NumberChange(Struct, frozen=True, forbid_unknown_fields=True):
    free_service: int


class SignupChange(Struct, frozen=True, forbid_unknown_fields=True):
    code_ms: int


class Shift(Struct, frozen=True):
    ms: int


_NEW_PERSON: Final[Decoder[NewPerson]] = Decoder(NewPerson)
_BECOME: Final[Decoder[Become]] = Decoder(Become)
_ACT: Final[Decoder[Act]] = Decoder(Act)
_OPEN: Final[Decoder[OpenForm]] = Decoder(OpenForm)
_SUBMIT: Final[Decoder[SubmitForm]] = Decoder(SubmitForm)
_WATCH: Final[Decoder[Watch]] = Decoder(Watch)
_NUMBER_CHANGE: Final[Decoder[NumberChange]] = Decoder(NumberChange)
_FINISH: Final[Decoder[Finish]] = Decoder(Finish)
_SIGNUP_CHANGE: Final[Decoder[SignupChange]] = Decoder(SignupChange)
_SHIFT: Final[Decoder[Shift]] = Decoder(Shift)
_TEMPLATE: Final[Decoder[Template]] = Decoder(Template)
_CHANGES: Final[Decoder[dict[str, int]]] = Decoder(dict[str, int])
_DECISION: Final[Decoder[Decision]] = Decoder(Decision)
_OBJECT: Final[Decoder[dict[str, object]]] = Decoder(dict[str, object])


# ------------------------------------------------------------------ what is answered


class FaceOfNumber(Struct, frozen=True):
    """A number without its token."""

    id: NumberId
    display_phone: str
    name: str


class State(Struct, frozen=True):
    now_ms: int
    may_shift: bool
    pending: int
    numbers: list[FaceOfNumber]
    people: list[Person]
    chats: list[Summary]
    faults: dict[NumberId, Faults]
    templates: dict[NumberId, list[Template]]


class Chat(Struct, frozen=True):
    chat: Summary
    messages: list[Message]


class Report(Struct, frozen=True):
    world: Truth
    posted: Posted
    pending: int
    """Tasks under way: webhooks, statuses to come. 0 = everything has settled."""


class Control:
    """Answers the page and the tests."""

    def __init__(
        self,
        *,
        world: World,
        phones: Phones,
        webhooks: Webhooks,
        faults: Board,
        feed: Feed,
        clock: Clock,
        waits: Waits,
        chores: Chores,
        media: Media,
        accounts: Accounts,
        signups: Signups,
        forms: FormStore,
        form_client: FormClient,
        on_shift: OnShift | None,
    ) -> None:
        self._world = world
        self._media = media
        self._forms = forms
        self._form_client = form_client
        self._phones = phones
        self._webhooks = webhooks
        self._faults = faults
        self._feed = feed
        self._clock = clock
        self._waits = waits
        self._chores = chores
        self._accounts = accounts
        self._signups = signups
        self._on_shift = on_shift

    def routes(self) -> list[web.RouteDef]:
        chat = "/api/chats/{number}/{person}"
        return [
            web.get("/api/state", self._state),
            web.post("/api/people", _refusing(self._add_person)),
            web.post("/api/people/{person}", _refusing(self._become)),
            web.get("/api/chats", self._chats),
            web.get(chat, _refusing(self._chat)),
            web.post(chat + "/messages", _refusing(self._act)),
            web.post(chat + "/form", _refusing(self._open_form)),
            web.post("/api/forms/{form}/submit", _refusing(self._submit_form)),
            web.post("/api/forms/{form}/back", _refusing(self._back_in_form)),
            web.post("/api/numbers/{number}/ping", _refusing(self._ping)),
            web.post("/api/media/{number}", _refusing(self._add_file)),
            web.get("/api/media/{id}", self._file),
            web.post(chat + "/watch", _refusing(self._watch)),
            web.get("/api/faults/{number}", _refusing(self._get_faults)),
            web.put("/api/faults/{number}", _refusing(self._put_faults)),
            web.put("/api/templates/{number}", _refusing(self._put_template)),
            web.put("/api/numbers/{number}", _refusing(self._put_number)),
            web.get("/api/bill", self._bill),
            web.get("/api/accounts/{number}", _refusing(self._get_account)),
            web.put("/api/accounts/{number}", _refusing(self._put_account)),
            web.post("/api/accounts/{number}/decisions", _refusing(self._decide)),
            web.post("/api/signups", _refusing(self._finish_signup)),
            web.put("/api/signups", _refusing(self._put_signups)),
            web.post("/api/shift", _refusing(self._shift)),
            web.post("/api/reset", _refusing(self._reset)),
            web.get("/api/truth", self._truth),
            web.post("/api/inject", _refusing(self._inject)),
            web.get("/api/events", self._events),
        ]

    # -------------------------------------------------------------- people and chats

    async def _state(self, request: web.Request) -> web.Response:
        numbers = self._world.numbers
        return _json(
            State(
                now_ms=self._clock.now_ms(),
                may_shift=self._on_shift is not None,
                pending=self._chores.pending,
                numbers=[_face(number) for number in numbers.values()],
                people=[person for person in self._world.people.values() if person.on_whatsapp],
                chats=self._listed(),
                faults={number: self._faults.of(number) for number in numbers},
                templates={
                    key: list(self._world.templates(number.waba_id))
                    for key, number in numbers.items()
                },
            )
        )

    async def _add_person(self, request: web.Request) -> web.Response:
        asked = await _body(request, _NEW_PERSON)
        if not asked.name.strip() or (asked.wa_id and not asked.wa_id.isdecimal()):
            raise WorldError("a name, and a phone of digits")
        person = self._world.add_person(
            asked.name.strip(),
            wa_id=asked.wa_id,
            username=asked.username,
            hides_phone=asked.hides_phone,
        )
        self._feed.tell(PersonAdded(person))
        return _json(person, HTTPStatus.CREATED)

    async def _become(self, request: web.Request) -> web.Response:
        asked = await _body(request, _BECOME)
        id = PersonId(request.match_info["person"])
        if sum((bool(asked.wa_id), asked.renew_id, asked.new_device)) > 1:
            raise WorldError("one thing after the other")
        if asked.wa_id:
            self._phones.move(id, "number", wa_id=asked.wa_id)
        elif asked.renew_id:
            self._phones.move(id, "user_id")
        elif asked.new_device:
            self._phones.move(id, "identity")
        person = self._world.change_person(
            id, username=asked.username, hides_phone=asked.hides_phone
        )
        self._feed.tell(PersonAdded(person))
        return _json(person)

    async def _chats(self, request: web.Request) -> web.Response:
        return _json(self._listed())

    def _listed(self) -> list[Summary]:
        return [
            chat for chat in self._world.summaries() if self._world.people[chat.person].on_whatsapp
        ]

    async def _chat(self, request: web.Request) -> web.Response:
        number, person = _pair(request)
        return _json(
            Chat(
                chat=self._world.summary(number, person),
                messages=list(self._world.messages(number, person)),
            )
        )

    async def _act(self, request: web.Request) -> web.Response:
        number, person = _pair(request)
        act = await _body(request, _ACT)
        match act:
            case Write():
                message = self._phones.write(
                    number, person, Text(act.body), quotes=act.quotes, ad=act.ad
                )
            case Locate():
                place = Place(act.latitude, act.longitude, act.name, act.address)
                message = self._phones.write(number, person, place, quotes=act.quotes)
            case Tap() | SharePhone() | Fill():
                asked = self._world.message(act.message)
                if asked is None or (asked.number, asked.person) != (number, person):
                    raise WorldError("no such message in this chat")
                said = self._answer(asked, act)
                message = self._phones.write(number, person, said, quotes=asked.wamid)
            case Edit() | Revoke():
                asked = self._world.message(act.message)
                if asked is None or (asked.number, asked.person) != (number, person):
                    raise WorldError("no such message in this chat")
                body = act.body if isinstance(act, Edit) else None
                message = self._phones.correct(act.message, body)
            case Owner(body=body, kind=kind):
                kinds: dict[str, ByHand] = {
                    "text": Text(body),
                    "image": Picture(body),
                    "voice": Voice(),
                }
                by_hand = kinds[kind]
                message = self._phones.write_by_hand(number, person, by_hand)
            case Offers(wanted=wanted):
                self._phones.prefer(number, person, wants_offers=wanted)
                return _json(self._world.summary(number, person))
            case _:
                message = self._phones.write(number, person, act)
        return _json(message, HTTPStatus.CREATED)

    async def _add_file(self, request: web.Request) -> web.Response:
        number = self._number(request)
        # As with application/json: a foreign page cannot send that without asking first.
        if request.content_type != "application/octet-stream":
            raise web.HTTPUnsupportedMediaType
        data = bytearray()
        async for piece in request.content.iter_any():
            data += piece
            if len(data) > FILE_BYTES_MAX:
                raise WorldError("a file of at most 100 MB")
        medium = self._media.receive(
            number,
            request.query.get("type", "") or "application/octet-stream",
            bytes(data),
            name=request.query.get("name", ""),
            now_ms=self._clock.now_ms(),
        )
        return _json({"id": medium.id}, HTTPStatus.CREATED)

    async def _file(self, request: web.Request) -> web.Response:
        medium = self._media.find(request.match_info["id"], now_ms=self._clock.now_ms())
        if medium is None:
            return _error("no such file", HTTPStatus.NOT_FOUND)
        shown = medium.mime.startswith(("image/", "audio/", "video/")) and "svg" not in medium.mime
        return web.Response(
            body=medium.data,
            headers={
                "Content-Type": medium.mime if shown else "application/octet-stream",
                "Content-Disposition": "inline" if shown else "attachment",
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=3600",
            },
        )

    # -------------------------------------------------------------- forms

    async def _open_form(self, request: web.Request) -> web.Response:
        number, person = _pair(request)
        asked = self._world.message((await _body(request, _OPEN)).message)
        if asked is None or (asked.number, asked.person) != (number, person):
            raise WorldError("no such message in this chat")
        token = _token(asked)
        content = asked.content
        known = (
            self._forms.named(self._world.numbers[number].waba_id, content.form)
            if isinstance(content, Form)
            else None
        )
        if known is None or not known.screens:
            return _json({"known": False})
        assert isinstance(content, Form)
        shown = await self._form_client.open(
            number,
            known,
            message=asked.wamid,
            token=token,
            screen=content.screen,
            data=content.data,
        )
        return _json(shown)

    async def _submit_form(self, request: web.Request) -> web.Response:
        asked = await _body(request, _SUBMIT)

        def write(message: str, answer: Filled) -> None:
            self._phones.write(asked.number, asked.person, answer, quotes=message)

        return _json(
            await self._form_client.submit(request.match_info["form"], asked.values, write)
        )

    async def _back_in_form(self, request: web.Request) -> web.Response:
        await _body(request, _OBJECT)
        return _json(await self._form_client.back(request.match_info["form"]))

    async def _ping(self, request: web.Request) -> web.Response:
        number = self._number(request)
        name = str((await _body(request, _OBJECT)).get("form", ""))
        form = self._forms.named(self._world.numbers[number].waba_id, name)
        if form is None:
            raise WorldError("no such form")
        return _json(await self._form_client.ping(number, form))

    def _answer(self, asked: Message, act: Tap | SharePhone | Fill) -> Heard:
        """What the person sends by what they did to a message of the business."""
        match act:
            case Tap(id=key):
                return _tapped(asked, key)
            case SharePhone():
                return _shared(asked, self._world.people[asked.person])
            case Fill(values=values):
                return Filled(_token(asked), values)

    async def _watch(self, request: web.Request) -> web.Response:
        number, person = _pair(request)
        watching = (await _body(request, _WATCH)).watching
        self._phones.watch(number, person, watching=watching)
        return _json(self._world.summary(number, person))

    # -------------------------------------------------------------- faults, templates, time

    async def _get_faults(self, request: web.Request) -> web.Response:
        return _json(self._faults.of(self._number(request)))

    async def _put_faults(self, request: web.Request) -> web.Response:
        number = self._number(request)
        return _json(self._faults.change(number, await _body(request, _CHANGES)))

    async def _put_template(self, request: web.Request) -> web.Response:
        number = self._world.numbers[self._number(request)]
        template = await _body(request, _TEMPLATE)
        self._world.put_template(number.waba_id, template)
        return _json(template)

    async def _put_number(self, request: web.Request) -> web.Response:
        number = self._number(request)
        change = await _body(request, _NUMBER_CHANGE)
        self._world.change_number(number, free_service=change.free_service)
        return _json(change)

    async def _bill(self, request: web.Request) -> web.Response:
        return _json(self._world.bill())

    async def _get_account(self, request: web.Request) -> web.Response:
        return _json(self._accounts.standing(self._number(request)))

    async def _put_account(self, request: web.Request) -> web.Response:
        number = self._number(request)
        return _json(self._accounts.change(number, await _body(request, _OBJECT)))

    async def _decide(self, request: web.Request) -> web.Response:
        number = self._number(request)
        self._accounts.decide(number, await _body(request, _DECISION))
        return _json(self._accounts.standing(number), HTTPStatus.ACCEPTED)

    async def _finish_signup(self, request: web.Request) -> web.Response:
        finished = self._signups.finish(await _body(request, _FINISH))
        self._feed.tell(Reload())  # there may be a number more
        return _json(finished, HTTPStatus.CREATED)

    async def _put_signups(self, request: web.Request) -> web.Response:
        asked = await _body(request, _SIGNUP_CHANGE)
        self._signups.code_ms = asked.code_ms
        return _json(asked)

    async def _shift(self, request: web.Request) -> web.Response:
        ms = (await _body(request, _SHIFT)).ms
        if not 0 < ms <= SHIFT_MAX_MS:
            raise WorldError("time goes forward, and by at most 400 days")
        if self._on_shift is None:
            return _error("this clock cannot be moved", HTTPStatus.CONFLICT)
        await self._on_shift(ms)
        self._waits.moved()
        self._feed.tell(TimeMoved(self._clock.now_ms()))
        return _json({"now_ms": self._clock.now_ms()})

    async def _reset(self, request: web.Request) -> web.Response:
        await _body(request, _OBJECT)
        await self._chores.stop()
        self._webhooks.reset()
        self._world.reset()
        self._media.reset()
        self._form_client.reset()
        self._faults.clear()
        self._accounts.clear()
        self._feed.tell(Reload())
        return _json({})

    # -------------------------------------------------------------- truth

    async def _truth(self, request: web.Request) -> web.Response:
        return _json(Report(self._world.truth(), self._webhooks.posted, self._chores.pending))

    async def _inject(self, request: web.Request) -> web.Response:
        await _body(request, _OBJECT)
        self._webhooks.put_raw(await request.read())
        return _json({}, HTTPStatus.ACCEPTED)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        page = self._feed.join()
        try:
            await stream.prepare(request)
            await stream.write(b"retry: 1000\n\n")
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        line = await page.get()
                except TimeoutError:
                    line = b": still here\n\n"
                if line is None:
                    return stream
                await stream.write(line)
        except ConnectionError:
            return stream
        finally:
            self._feed.leave(page)

    def _number(self, request: web.Request) -> NumberId:
        number = NumberId(request.match_info["number"])
        if number not in self._world.numbers:
            raise WorldError("no such number")
        return number


# ------------------------------------------------------------------ serving it


def _tapped(message: Message, key: str) -> Heard:
    """What the person sends by tapping `key` on a message of the business."""
    match message.content:
        case Buttons(buttons=replies):
            for button in replies:
                if button.id == key:
                    return Tapped("button_reply", button.id, button.title)
        case Carousel(cards=cards):
            for button in (button for card in cards for button in card.buttons):
                if button.id == key:
                    return Tapped("button_reply", button.id, button.title)
        case Menu(sections=sections):
            for row in (row for section in sections for row in section.rows):
                if row.id == key:
                    return Tapped("list_reply", row.id, row.title, row.description)
        case Notice(buttons=buttons, cards=cards):
            # The cards of a carousel show the same labels: a tap on one of theirs is told by its payload.
            quick = [
                *((each, each.title) for each in buttons),
                *((each, each.value) for card in cards for each in card.buttons),
            ]
            for each, name in quick:
                if each.kind == "QUICK_REPLY" and name == key:
                    return QuickReply(each.value, each.title)
        case _:
            pass
    raise WorldError("that message has no such button")


def _shared(asked: Message, person: Person) -> SharedPhone:
    asks = isinstance(asked.content, PhoneRequest) or (
        isinstance(asked.content, Notice)
        and any(button.kind == "REQUEST_CONTACT_INFO" for button in asked.content.buttons)
    )
    if not asks:
        raise WorldError("that message does not ask for the phone")
    if not person.wa_id:
        raise WorldError("the emulator does not know this person's phone")
    return SharedPhone(person.wa_id)


def _token(asked: Message) -> str:
    """The token of the form that a message opens."""
    match asked.content:
        case Form(token=token):
            return token
        case Notice(buttons=buttons):
            for button in buttons:
                if button.kind == "FLOW":
                    return button.value
        case _:
            pass
    raise WorldError("that message opens no form")


def _pair(request: web.Request) -> tuple[NumberId, PersonId]:
    return NumberId(request.match_info["number"]), PersonId(request.match_info["person"])


def _face(number: Number) -> FaceOfNumber:
    return FaceOfNumber(number.id, number.display_phone, number.name)


async def _body(request: web.Request, decoder: Decoder[T]) -> T:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    return decoder.decode(await request.read())


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), content_type="application/json", status=status
    )


def _error(problem: str, status: HTTPStatus) -> web.Response:
    return _json({"error": problem}, status)


_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _refusing(answer: _Answer) -> _Answer:
    """What a person cannot do, or what was not understood, is answered with 400."""

    async def refusing(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except (WorldError, msgspec.DecodeError) as error:
            return _error(str(error), HTTPStatus.BAD_REQUEST)

    return refusing
