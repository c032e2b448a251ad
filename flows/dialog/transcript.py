"""Conversations as files that a person can read, and their run against the pure flow.

desk: yes                    settings of the firm, before the first mark
shows sol: Panadería Sol     a firm whose bot may be shown here (`sol setting hours: …`); without a name it is gone
@ 2026-11-21 18:40           the clock is set            @ 20h   time passes
> hola                       the person writes; several in a row are one turn
> [Ver precios]              a tap on a button or row of the latest message
> (old) [Ver precios]        … of an earlier one
> (image) caption            a message of another kind
> (forwarded) hola           one that they passed on
> (edit) ¿abren hoy?         the person changes their latest message, in the same turn before it was read; (revoke) takes it back
> (moves)                    … has another number from here on: whoever writes from it is somebody new
< ¿Qué necesitas? {Ver opciones}     the bot's message: [Button] [Button], or the button of a list …
- Ver precios | Pan y tortas         … and its rows
< (template retomar_atencion) Hola …     the window is closed: a template, with its variables in the text
< (image) Así quedó                  … a file with its caption; also video, audio, voice, sticker, document F-12.pdf
< (document F-12.pdf) ¿Qué más? [A]  … or above a question; (header Pedido 12) for words above it
< (asks place) ¿Dónde estás?         WhatsApp's own button for a place; (asks phone) for the person's number
< (form sign_up) Faltan datos [Llenar]   … for a form, by its name or id
< (carousel) ¿Cuál? …                cards of a carousel: `- Hallulla [Ver]`; a tap on one is `> [Ver · Hallulla]`
< (products) Para el desayuno        … products of the catalogue: `- Panes | sku-1, sku-2`; (product sku-1), (catalogue)
< (contacts) Camila                  also (place) Plaza, Calle 1 · (reaction) 👍
< (re ¿abren hoy?) Sí, hasta las 20  an answer that quotes what the person wrote
! FindOrders -> [{"id": "1042"}]     a call's result; `failed down`; the call's arguments may stand before `->`
! unshown form_unavailable   the form that asks could not be sent, and why
= quiet                      read and not answered. Also: stop, human [team], ended <result>,
                             consent notices on, marketing off
~ Camila | Hola Ana          a person writes at the desk
~ phone | Hola, soy Sol      somebody of the firm writes from their own phone: the bot is silent for a while
...                          another conversation
# comment                    ⏎ is a line break in a message
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast, get_args
from zoneinfo import ZoneInfo

import msgspec

from flows.dialog.advance import Book, Turn
from flows.dialog.calls import Call, encode
from flows.dialog.content import (
    Audio,
    Button,
    Buttons,
    Carousel,
    Catalogue,
    Contacts,
    Content,
    Document,
    Form,
    Header,
    Image,
    Link,
    PhoneRequest,
    Place,
    PlaceRequest,
    Product,
    Products,
    Reaction,
    Reply,
    Rows,
    Slide,
    Sticker,
    Template,
    Text,
    Video,
)
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Asked, Consented, Effect, Ended, HandOff, Stopped
from flows.dialog.events import (
    NO_JSON,
    Attachment,
    Event,
    FailedWhy,
    Heard,
    HeardKind,
    Location,
    MediaKind,
    Result,
    TakenOver,
    Unshown,
)
from flows.dialog.session import QUIET_MINUTES, Session
from flows.values.ids import ContactId, TenantId, Wamid

WINDOW: Final = timedelta(hours=24)
EPOCH: Final = "2026-11-23 10:00"
"""When a conversation begins that does not say when: a Monday."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d+)\s*([smhd])")
_BUTTON = re.compile(r"\s*\[([^\[\]]+)\](?:\((https://[^\s)]+)\))?\s*$")
_LIST = re.compile(r"\s*\{([^{}]+)\}\s*$")
_NOTE = re.compile(r"\(([^()]+)\)\s*")
_KINDS: Final[Mapping[str, str]] = {
    "imagen": "image", "foto": "image", "audio": "voice", "nota de voz": "voice", "video": "video",
    "documento": "document", "sticker": "sticker", "ubicación": "place", "contacto": "contacts",
    "formulario": "form", "reacción": "reaction", "no soportado": "unsupported", "edita": "edit",
    "elimina": "revoke",
}  # fmt: skip
FORWARDED: Final = ("forwarded", "reenviado")
_MOVES: Final = ("(moves)", "(cambia de número)")
PHONE: Final = ("phone", "teléfono")
"""Who writes at the desk, if it is none but the firm's own phone."""

_NOTES: Final[Mapping[str, str]] = {
    "template": "template", "plantilla": "template", "document": "document", "documento": "document",
    "image": "image", "imagen": "image", "video": "video", "audio": "audio", "voice": "voice",
    "nota de voz": "voice", "sticker": "sticker", "header": "header", "título": "header",
    "asks place": "asks place", "pide ubicación": "asks place", "asks phone": "asks phone",
    "pide teléfono": "asks phone", "form": "form", "formulario": "form", "carousel": "carousel",
    "carrusel": "carousel", "product": "product", "producto": "product", "products": "products",
    "productos": "products", "catalogue": "catalogue", "catálogo": "catalogue", "contacts": "contacts",
    "contacto": "contacts", "place": "place", "ubicación": "place", "reaction": "reaction",
    "reacción": "reaction", "re": "re",
}  # fmt: skip
"""What may stand in brackets in front of the bot's words, and the word that is compared."""
_NAMED: Final = frozenset(("template", "document", "header", "form", "product", "re"))
"""Those that are followed by a name, and only they."""
_SERVER_EFFECTS: Final = (
    "note",
    "resolved",
    "csat",
    "parked",
    "alert",
    "flag",
    "confirmed",
    "sent",
)
"""Effects beyond the flow: the server's run of the same file checks them."""


class ChatError(AssertionError):
    """A line that did not come true."""


# ---------------------------------------------------------------- lines


@dataclass(frozen=True)
class Setting:
    key: str
    value: str


@dataclass(frozen=True)
class Says:
    """The person sends a message of some kind."""

    kind: HeardKind
    text: str = ""
    media: MediaKind | None = None
    forwarded: bool = False


@dataclass(frozen=True)
class Taps:
    title: str
    old: bool = False


@dataclass(frozen=True)
class Hears:
    """The bot's message."""

    body: str
    buttons: tuple[str, ...] = ()
    opens: str = ""
    rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What stands in brackets, sorted: `template retomar_atencion`, `asks place`, `re hola` …"""

    @property
    def template(self) -> str:
        """Name of the template, if it is one."""
        named = (note for note in self.notes if note.startswith("template "))
        return next(named, "").removeprefix("template ")


@dataclass(frozen=True)
class Returns:
    call: str
    args: str
    """JSON object that the call's fields must contain; empty for any."""
    value: str
    """JSON; empty if it failed."""
    failed: FailedWhy | None = None


@dataclass(frozen=True)
class NotShown:
    """What the bot asked last could not be sent."""

    why: str


@dataclass(frozen=True)
class Passes:
    span: timedelta


@dataclass(frozen=True)
class Clock:
    local: datetime
    """Without zone: the firm's."""


@dataclass(frozen=True)
class Does:
    """An effect."""

    what: str


@dataclass(frozen=True)
class Desk:
    """A person answers at the desk."""

    who: str
    text: str


@dataclass(frozen=True)
class Moves:
    """The person has another number."""


@dataclass(frozen=True)
class Again:
    """Another conversation, with another person."""


What = (
    Setting
    | Says
    | Taps
    | Hears
    | Returns
    | NotShown
    | Passes
    | Clock
    | Does
    | Desk
    | Moves
    | Again
)


@dataclass(frozen=True)
class Line:
    number: int
    source: str
    what: What


# ---------------------------------------------------------------- reading a script


def parse(script: str) -> tuple[Line, ...]:
    """The lines of a script. Raises ChatError for one that is none."""
    lines: list[Line] = []
    for number, raw in enumerate(script.splitlines(), 1):
        source = re.split(r"(?:^|\s\s)#\s", raw + " ")[0].strip()
        if not source or source.startswith("#"):
            continue
        if source.startswith("- ") and lines and isinstance(lines[-1].what, Hears):
            heard = lines[-1].what
            longer = replace(heard, rows=(*heard.rows, _row(source[2:])))
            lines[-1] = Line(lines[-1].number, lines[-1].source, longer)
            continue
        lines.append(Line(number, source, _what(number, source)))
    return tuple(lines)


def _what(number: int, source: str) -> What:
    mark, _, rest = source.partition(" ")
    rest = rest.strip()
    match mark:
        case "...":
            return Again()
        case ">":
            return _said(rest)
        case "<":
            return _heard(rest)
        case "!":
            return _returned(number, rest)
        case "@":
            return _time(number, rest)
        case "=":
            return Does(rest)
        case "~":
            who, _, text = rest.partition("|")
            return Desk(who.strip(), text.strip())
        case _ if setting := re.fullmatch(r"([\w ]+):\s*(.*)", source):
            return Setting(setting[1].strip(), setting[2])
        case _:
            raise ChatError(f"line {number}: {source}\nno line begins like this")


def _said(rest: str) -> Says | Taps | Moves:
    if rest in _MOVES:
        return Moves()
    if tap := re.fullmatch(r"(\(old\) )?\[(.+)\]", rest):
        return Taps(tap[2], old=tap[1] is not None)
    if sent := re.fullmatch(r"\(([^)]+)\)\s*(.*)", rest):
        if sent[1] in FORWARDED:
            return Says("text", sent[2], forwarded=True)
        kind = _KINDS.get(sent[1], sent[1])
        if kind in get_args(MediaKind):
            return Says("media", sent[2], cast("MediaKind", kind))
        if kind in get_args(HeardKind):
            return Says(cast("HeardKind", kind), sent[2])
    return Says("text", rest.replace("⏎", "\n"))


def _heard(rest: str) -> Hears:
    rest = rest.replace("⏎", "\n")
    opens = ""
    buttons: list[str] = []
    notes: list[str] = []
    while (found := _NOTE.match(rest)) and (note := _note(found[1])):
        notes.append(note)
        rest = rest[found.end() :]
    if opened := _LIST.search(rest):
        opens, rest = opened[1], rest[: opened.start()]
    while button := _BUTTON.search(rest):
        buttons.insert(0, f"{button[1]}({button[2]})" if button[2] else button[1])
        rest = rest[: button.start()]
    return Hears(rest.strip(), tuple(buttons), opens, (), tuple(sorted(notes)))


def _note(told: str) -> str:
    """A note in the words that are compared; empty if it is none, but words of the bot."""
    whole = _NOTES.get(told, "")
    if whole and whole not in _NAMED:
        return whole
    word, _, name = told.partition(" ")
    known = _NOTES.get(word, "")
    return f"{known} {name.strip()}" if known in _NAMED and name.strip() else ""


def _row(source: str) -> str:
    title, _, about = source.partition("|")
    return f"{title.strip()} | {about.strip()}" if about.strip() else title.strip()


def _returned(number: int, rest: str) -> Returns | NotShown:
    if rest.startswith("unshown "):
        return NotShown(rest.removeprefix("unshown "))
    asked, arrow, value = rest.partition(" -> ")
    name, _, args = asked.partition(" ")
    if not arrow:
        raise ChatError(f"line {number}: ! {rest}\na call brings something back: ! {name} -> …")
    if not value.startswith("failed"):
        return Returns(name, args.strip(), value)
    why = [*value.split(), "down"][1]
    known = why if why in get_args(FailedWhy) else "down"
    return Returns(name, args.strip(), "", cast("FailedWhy", known))


def _time(number: int, rest: str) -> Passes | Clock:
    if re.fullmatch(rf"(?:{_SPAN.pattern}\s*)+", rest):
        spans = (timedelta(**{_UNITS[unit]: int(n)}) for n, unit in _SPAN.findall(rest))
        return Passes(sum(spans, timedelta()))
    try:
        return Clock(datetime.strptime(rest, "%Y-%m-%d %H:%M"))  # noqa: DTZ007 - the firm's zone is not known yet
    except ValueError:
        raise ChatError(f"line {number}: @ {rest}\nneither 20h nor 2026-11-21 18:40") from None


def written(content: Content, *, answers: str = "") -> str:
    """A message in the notation of the files; `answers` is what it quotes."""
    told = shown(content, answers=answers)
    first = [
        *(f"({note})" for note in told.notes),
        told.body.replace("\n", "⏎"),
        *map(_bracketed, told.buttons),
        *([f"{{{told.opens}}}"] if told.opens else []),
    ]
    return "\n".join([" ".join(part for part in first if part), *(f"- {row}" for row in told.rows)])


def shown(content: Content, *, answers: str = "") -> Hears:
    """A message as a script would expect it. A template's words are Meta's: only its variables are told."""
    told = _shown(content)
    notes = [*told.notes, *([f"re {_short(answers)}"] if answers else [])]
    return replace(told, notes=tuple(sorted(notes)))


def _shown(content: Content) -> Hears:
    match content:
        case Text(body=body):
            return Hears(body)
        case Buttons(body=body, buttons=buttons, header=header):
            return Hears(body, _titles(buttons), notes=_above(header))
        case Rows(body=body, button=opens, rows=rows, header=header):
            told = tuple(_row(f"{row.title} | {row.description}") for row in rows)
            return Hears(body, (), opens, told, _above(header))
        case Link(body=body, title=title, url=url, header=header):
            return Hears(body, (f"{title}({url})",), notes=_above(header))
        case PlaceRequest(body=body):
            return Hears(body, notes=("asks place",))
        case PhoneRequest(body=body):
            return Hears(body, notes=("asks phone",))
        case Form(body=body, title=title, header=header, name=name, id=id):
            return Hears(body, (title,), notes=(f"form {name or id}", *_above(header)))
        case Image() | Video() | Document():
            return Hears(content.caption, notes=_above(content))
        case Audio(voice=voice):
            return Hears("", notes=("voice" if voice else "audio",))
        case Sticker():
            return Hears("", notes=("sticker",))
        case Contacts(cards=people):
            return Hears(", ".join(card.name for card in people), notes=("contacts",))
        case Place(latitude=latitude, longitude=longitude, name=name, address=address):
            where = ", ".join(part for part in (name, address) if part)
            return Hears(where or f"{latitude}, {longitude}", notes=("place",))
        case Reaction(emoji=emoji):
            return Hears(emoji, notes=("reaction",))
        case Product(body=body, product=product):
            return Hears(body, notes=(f"product {product}",))
        case Products(body=body, shelves=shelves, header=header):
            told = tuple(
                " | ".join(part for part in (shelf.title, ", ".join(shelf.products)) if part)
                for shelf in shelves
            )
            return Hears(body, rows=told, notes=("products", *_above(header)))
        case Catalogue(body=body):
            return Hears(body, notes=("catalogue",))
        case Carousel(body=body, cards=cards):
            return Hears(body, rows=tuple(map(_slide, cards)), notes=("carousel",))
        case Template(name=name, variables=variables):
            return Hears(" ".join(value for _, value in variables), notes=(f"template {name}",))


def _titles(buttons: Sequence[Button]) -> tuple[str, ...]:
    return tuple(button.title for button in buttons)


def _bracketed(button: str) -> str:
    title, bracket, url = button.partition("(https://")
    return f"[{title}]{bracket}{url}" if bracket else f"[{button}]"


def _slide(slide: Slide) -> str:
    links = [f"{slide.title}({slide.url})"] if slide.url else []
    parts = [slide.body.replace("\n", "⏎"), *map(_bracketed, [*_titles(slide.buttons), *links])]
    return " ".join(part for part in parts if part)


def _above(header: Header) -> tuple[str, ...]:
    """The note of a header, or of a file."""
    match header:
        case "":
            return ()
        case str(words):
            return (f"header {words}",)
        case Document(name=name):
            return (f"document {name}",)
        case _:
            return (type(header).__name__.lower(),)


def _short(words: str) -> str:
    """Words as they may stand in a note."""
    return re.sub(r"[()\s]+", " ", words).strip()


# ---------------------------------------------------------------- the run against the pure flow


@dataclass
class _Talk:
    """One conversation under way."""

    session: Session
    messages: list[tuple[Content, str]] = field(default_factory=list)
    """Said and not yet expected by a line, each with the words that it quotes."""
    said: list[Content] = field(default_factory=list)
    """All that was said, newest last."""
    pending: list[Heard] = field(default_factory=list)
    calls: list[Asked] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    wrote: dict[Wamid, str] = field(default_factory=dict)
    """What the person wrote, by its id: to be quoted."""
    titles: tuple[str, ...] = ()
    """What the buttons of the latest template say: only the script knows."""
    heard_at: datetime | None = None
    desk: str = ""


class Play:
    """Runs scripts against the pure flow. The session goes through JSON after each turn, as when it is stored."""

    def __init__(self, book: Book, *, root: str = "") -> None:
        self.book = book
        self.root = root
        self.settings: dict[str, str] = {}
        self.talk = _Talk(book.fresh(root))
        self.line = Line(0, "", Again())
        self.count = 0
        self.now = self._local(EPOCH)

    def run(self, script: str) -> Session:
        """Play a script; ChatError at the first line that does not come true."""
        for self.line in parse(script):
            if not isinstance(self.line.what, Says | Taps):
                self._flush()
            self._play(self.line.what)
        self._flush()
        self._nothing_left()
        if self.talk.calls:
            raise self._wrong(f"the call {_name(self.talk.calls[0].call)} waits for its result")
        return self.talk.session

    def _play(self, what: What) -> None:
        match what:
            case Setting(key, value):
                self.settings[key] = value.replace("⏎", "\n")
                if key == "root":
                    self.root = value
                    self.talk = _Talk(self.book.fresh(value))
            case Says():
                self._nothing_left()
                self._hear(_message(what))
            case Taps():
                self._nothing_left()
                self._hear(self._tap(what))
            case Hears():
                self._expect(what)
            case Returns():
                self._nothing_left(effects=False)
                self._return(what)
            case NotShown(why):
                self._nothing_left()
                self._advance([Unshown(self.talk.session.seq, why)])
            case Passes(span):
                self._nothing_left()
                self._wait(self.now + span)
            case Clock(local):
                self._nothing_left()
                self._wait(local.replace(tzinfo=self.now.tzinfo))
            case Does(effect):
                self._done(effect)
            case Desk(who, _) if who in PHONE:
                self._nothing_left()
                minutes = int(self.settings.get("setting quiet_minutes", QUIET_MINUTES))
                self._advance([TakenOver(int(self.now.timestamp()) + minutes * 60)])
            case Desk(who, _):
                self.talk.desk = who
            case Moves():
                self._nothing_left()
                self.talk = _Talk(self.book.fresh(self.root))
            case Again():
                self._nothing_left()
                self.talk = _Talk(self.book.fresh(self.root))

    # ------------------------------------------------ what happens

    def _hear(self, heard: Heard) -> None:
        if heard.kind in ("edit", "revoke") and self.talk.pending:
            # Not read yet: it says something else, or nothing.
            unread = self.talk.pending.pop()
            if heard.kind == "edit":
                self.talk.pending.append(msgspec.structs.replace(unread, text=heard.text))
            return
        self.count += 1
        self.talk.heard_at = self.now
        stamped = msgspec.structs.replace(
            heard, id=Wamid(f"wamid.{self.count}"), at=int(self.now.timestamp())
        )
        self.talk.pending.append(stamped)
        self.talk.wrote[stamped.id] = stamped.text

    def _flush(self) -> None:
        if self.talk.pending:
            events, self.talk.pending = self.talk.pending, []
            self._advance(events)

    def _advance(self, events: Sequence[Event]) -> None:
        talk = self.talk
        turn: Turn = self.book.advance(
            talk.session, events, self._ctx(), root=self.root, firms=self._shown
        )
        talk.session = msgspec.json.decode(msgspec.json.encode(turn.session), type=Session)
        said = [*turn.ahead, *([turn.message] if turn.message is not None else [])]
        if said and self._window_is_closed():
            if turn.template is None:
                raise self._wrong(
                    f"said outside the window, without a template: {written(said[-1])}"
                )
            said = [turn.template]
        quoted = talk.wrote.get(turn.quotes, "")
        talk.messages += [(message, "" if n else quoted) for n, message in enumerate(said)]
        talk.said += said
        for effect in turn.effects:
            if isinstance(effect, Asked):
                talk.calls.append(effect)
        waits = talk.session.seq if talk.session.stack else None
        talk.calls = [asked for asked in talk.calls if asked.seq == waits]
        talk.effects += _told(turn.effects)
        if turn.quiet:
            talk.effects.append("quiet")

    def _wait(self, until: datetime) -> None:
        while (at := self.talk.session.wake_at()) is not None and at <= until:
            self.now = max(self.now, at.astimezone(self.now.tzinfo))
            before = self.talk.session
            self._advance(before.due(self.now))
            if self.talk.session == before:
                raise self._wrong("a timer is due and changes nothing")
        self.now = until

    def _return(self, what: Returns) -> None:
        if not self.talk.calls:
            raise self._wrong("no call waits for a result")
        asked = self.talk.calls.pop()
        if _name(asked.call) != what.call:
            raise self._wrong(f"another call waits: {asked.call}")
        if what.args:
            told = msgspec.json.decode(encode(asked.call))
            wanted = msgspec.json.decode(what.args)
            if {key: told.get(key) for key in wanted} != wanted:
                raise self._wrong(f"got: {msgspec.json.encode(told).decode()}")
        value = NO_JSON if what.failed else msgspec.Raw(what.value.encode())
        try:
            self._advance([Result(asked.seq, value, what.failed)])
        except msgspec.DecodeError as error:
            raise self._wrong(f"the result is not what the call declares: {error}") from error

    # ------------------------------------------------ what is expected

    def _expect(self, what: Hears) -> None:
        if self.talk.desk and what.body.startswith(f"*{self.talk.desk}:*"):
            return
        if not self.talk.messages:
            raise self._wrong("but the bot said nothing")
        content, answers = self.talk.messages.pop(0)
        got = shown(content, answers=answers)
        if isinstance(content, Template):
            missing = [value for _, value in content.variables if value not in what.body]
            if what.template != content.name or missing:
                raise self._wrong(f"got:  < {written(content)}")
            self.talk.titles = what.buttons
        elif got != what:
            got_line = written(content, answers=answers)
            raise self._wrong(f"got:  < {got_line}", expected=what)

    def _done(self, what: str) -> None:
        if what.startswith("resolved"):
            self.talk.session = self.talk.session.released()
            self.talk.desk = ""
        if what.split(" ")[0] in _SERVER_EFFECTS:
            return
        for wanted in _effects_of(what):
            if wanted not in self.talk.effects:
                raise self._wrong(f"effects: {', '.join(self.talk.effects) or 'none'}")
            self.talk.effects.remove(wanted)

    def _nothing_left(self, *, effects: bool = True) -> None:
        if self.talk.messages:
            raise self._wrong(f"unexpected before it: < {written(self.talk.messages[0][0])}")
        left = [effect for effect in self.talk.effects if not effect.startswith("ended")]
        if effects and left:
            raise self._wrong(f"unexpected before it: = {left[0]}")
        if effects:
            self.talk.effects.clear()

    def _tap(self, what: Taps) -> Heard:
        messages = list(reversed(self.talk.said))
        for content in messages if what.old else messages[:1]:
            for tap, name in self._tappable(content):
                if name == what.title:
                    return tap
        latest = [name for content in messages[:1] for _, name in self._tappable(content)]
        raise self._wrong(f"no such button; shown: {', '.join(latest) or 'none'}")

    def _tappable(self, content: Content) -> Iterator[tuple[Heard, str]]:
        """What a tap sends, and what a script calls it."""
        match content:
            case Buttons(buttons=buttons):
                for button in buttons:
                    yield _tap("tap", button.id, button.title), button.title
            case Rows(rows=rows):
                for row in rows:
                    yield _tap("row", row.id, row.title), row.title
            case Carousel(cards=cards):
                for card in cards:
                    about = card.body.partition("\n")[0]
                    for button in card.buttons:
                        yield _tap("tap", button.id, button.title), f"{button.title} · {about}"
            case Template(buttons=given):
                for reply, title in zip(given, self.talk.titles, strict=False):
                    if isinstance(reply, Reply):
                        yield _tap("tap", reply.payload, title), title
            case _:
                pass

    # ------------------------------------------------ around

    def _ctx(self) -> Ctx:
        told = self.settings
        firm = replace(
            self._firm("00000000-0000-4000-8000-000000000001", told.get("firm", "Panadería Sol")),
            desk=told.get("desk", "yes") in ("yes", "sí", "true"),
        )
        contact = ContactId("00000000-0000-4000-8000-000000000002")
        return Ctx(self.now, firm, contact, told.get("name", "Ana"), firm.locale)

    def _firm(self, id: str, name: str, about: str = "") -> Firm:
        """`about`: what its settings begin with in the script."""
        told = self.settings
        setting = f"{about}setting "
        return Firm(
            TenantId(id),
            name,
            locale=told.get(f"{about}locale", "es_CL"),
            zone=told.get(f"{about}zone", "America/Santiago"),
            settings={
                key.removeprefix(setting): value
                for key, value in told.items()
                if key.startswith(setting)
            },
        )

    def _shown(self, tenant: TenantId) -> Firm | None:
        name = self.settings.get(f"shows {tenant}", "")
        return self._firm(tenant, name, f"{tenant} ") if name else None

    def _local(self, moment: str) -> datetime:
        zone = ZoneInfo(self.settings.get("zone", "America/Santiago"))
        return datetime.fromisoformat(moment).replace(tzinfo=zone)

    def _window_is_closed(self) -> bool:
        return self.talk.heard_at is not None and self.now - self.talk.heard_at >= WINDOW

    def _wrong(self, problem: str, *, expected: Hears | None = None) -> ChatError:
        lines = [f"line {self.line.number}: {self.line.source}"]
        if expected is not None and expected.rows:
            lines += [f"- {row}" for row in expected.rows]
        return ChatError("\n".join([*lines, problem]))


def play(script: str, book: Book, *, root: str = "") -> Session:
    """Run a script against the pure flow."""
    return Play(book, root=root).run(script)


def _tap(kind: HeardKind, id: str, title: str) -> Heard:
    return Heard(Wamid(""), 0, kind, title, id)


def _name(call: Call[Any]) -> str:
    return type(call).__name__


def _message(what: Says) -> Heard:
    media = Attachment(what.media, "media-1") if what.media else None
    place = None
    phone = ""
    form = NO_JSON
    match what.kind:
        case "place":
            latitude, _, longitude = (what.text or "-33.04, -71.37").partition(",")
            place = Location(float(latitude), float(longitude))
        case "contacts":
            phone = what.text
        case "form":
            form = msgspec.Raw(what.text.encode()) if what.text else NO_JSON
        case _:
            pass
    text = "" if what.kind in ("place", "contacts", "form") else what.text
    return Heard(
        Wamid(""),
        0,
        what.kind,
        text,
        media=media,
        place=place,
        phone=phone,
        form=form,
        forwarded=what.forwarded,
    )


def _told(effects: Sequence[Effect]) -> Iterator[str]:
    for effect in effects:
        match effect:
            case HandOff(team=team):
                yield f"human {team}".strip()
            case Stopped():
                yield "stop"
            case Consented(purpose=purpose, granted=granted):
                yield f"consent {purpose} {'on' if granted else 'off'}"
            case Ended(flow=_, result=result):
                yield f"ended {result}"
            case Asked():
                pass


def _effects_of(what: str) -> list[str]:
    if not what.startswith("consent "):
        return [what]
    return [f"consent {part.strip()}" for part in what.removeprefix("consent ").split(",")]
