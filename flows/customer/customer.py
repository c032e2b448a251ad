"""The conversation with a firm's customers: what the settings answer, and a person for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from flows.calls.desk import Handoff, OpenHandoff
from flows.customer.answers import ANSWERED, answer, ended, has_product
from flows.customer.shop import TOLD, Shop, Taken, shop_of
from flows.customer.wish import File, Topic, Wish
from flows.dialog.answers import Text
from flows.dialog.calls import Failed
from flows.dialog.commands import read_danger, read_yes_no
from flows.dialog.ctx import Ctx
from flows.dialog.effects import Consented, Stopped
from flows.dialog.events import Heard
from flows.dialog.flow import Flow, Lost, Say, Step, go, hand_off, say, stay
from flows.login import Came, Entry, Login, login, panel, ref_in
from flows.values.secrets import mask_secrets

PAUSE: Final = timedelta(milliseconds=1500)
"""People write in pieces: "hola" / "una consulta" / "¿tienen pan?" is one turn."""

REMEMBERED: Final = timedelta(days=30)
"""How long somebody who wrote is not greeted as a stranger."""

URGENT: Final = "urgent"
PRIVACY_TEAM: Final = "privacy"

RIGHTS_DAYS: Final = 30
"""To answer a request about one's data (Law 19.628 as reformed by 21.719, art. 11): calendar days."""
BLOCK_WORKDAYS: Final = 2
"""To answer a request to stop using them meanwhile (same article): business days."""

ENGLISH_FROM: Final = 2
"""The message in English from which the bot answers in it; at the first it only offers to."""

PEOPLE_ONLY: Final[frozenset[Topic]] = frozenset(("orders", "buy", "annul", "debt", "document"))
SMALL_TALK: Final[frozenset[Topic]] = frozenset(("greeting", "english", "spanish"))

Why = Literal["asked", "noted", "unclear", "complaint", "file", "right"]
Shown = (
    Literal[
        "prices", "hours", "address", "delivery", "payment", "contact", "human", "data", "more", "english"
    ]
    | Taken
)  # fmt: skip


@dataclass(frozen=True)
class Visit:
    met: bool = False
    """They know that this is a machine, and what becomes of their words."""
    bare: bool = False
    """The last answer shows no buttons."""
    answered: tuple[Topic, ...] = ()
    """What the last answer was about."""
    unclear: int = 0
    """Messages in a row that were not understood."""
    rude: int = 0
    english: int = 0
    """Messages in English so far."""
    file: File | None = None
    ref: str = ""
    """Of a login that a browser began."""
    # For the person who takes over.
    note: str = ""
    about: str = ""
    team: str = ""
    why: Why = "asked"


customer = Flow("customer", Visit, bool, version=2, pause=PAUSE)


@customer.migrates(to=2)
def without_login(old: dict[str, Any]) -> dict[str, Any]:
    """A visit may come from a login since."""
    return old


# ---------------------------------------------------------------- what is shown


def _rows(v: Visit, ctx: Ctx) -> Sequence[str]:
    """What the firm can do for them, a person, one's own data."""
    rows = _wishes(shop_of(ctx.firm))
    if "human" not in rows:
        rows.append("human")
    return [*rows, "data", *(["english"] if _may_switch(v, ctx) else [])]


def _wishes(shop: Shop) -> list[str]:
    """The firm's menu as far as its settings tell; without one all that they tell, at a food firm the carta first."""
    known = {
        "hours": shop.hours is not None,
        "address": bool(shop.address),
        "prices": bool(shop.products),
        "delivery": bool(shop.delivery),
        "payment": bool(shop.payment),
        "contact": shop.has_contact,
    }
    usual = sorted(TOLD, key=lambda row: row != "prices") if shop.is_food else TOLD
    rows = [row for row in shop.menu or usual if known.get(row, True)]
    if "hours" in rows and "address" in rows:
        rows.remove("address")  # the hours are told with it
    return rows


def _likely(v: Visit, shop: Shop) -> list[str]:
    """What they may want next: the firm's menu in its order, without one prices and hours."""
    rows = [row for row in _wishes(shop) if row != "human" and row not in v.answered]
    return rows if shop.menu else [row for row in rows if row in ("prices", "hours")]


def _next(v: Visit, ctx: Ctx) -> Sequence[str]:
    """Three buttons after an answer: the likeliest next wish, a person, everything else."""
    if v.bare:
        return ["english"] if _may_switch(v, ctx) else []
    if _may_switch(v, ctx):
        return ["english", "human", "more"]
    return [*_likely(v, shop_of(ctx.firm))[:1], "human", "more"]


def _few(v: Visit, ctx: Ctx) -> Sequence[str]:
    """After words that were not understood: fewer options, the last of them a person."""
    if _may_switch(v, ctx):
        return ["english", "human", "more"]
    shop = shop_of(ctx.firm)
    wishes = [row for row in _wishes(shop) if row in (shop.menu or ("prices", "hours", "contact"))]
    return [*[row for row in wishes if row != "human"][:2], "human"]


def _may_switch(v: Visit, ctx: Ctx) -> bool:
    return v.english > 0 and not ctx.locale.startswith("en")


# ---------------------------------------------------------------- the states where nothing is owed


@customer.asks(shows=_rows, idle=REMEMBERED)
def lobby(v: Visit, wish: Shown | Wish, ctx: Ctx) -> Step:
    return _serve(v, wish, ctx)


@customer.asks(shows=_next, idle=REMEMBERED, rests=True)
def answered(v: Visit, wish: Shown | Wish, ctx: Ctx) -> Step:
    return _serve(v, wish, ctx)


@customer.asks(shows=_few, idle=REMEMBERED, rests=True)
def unclear(v: Visit, wish: Shown | Wish, ctx: Ctx) -> Step:
    return _serve(v, wish, ctx)


@customer.asks(idle=REMEMBERED, rests=True)
def unheard(v: Visit, wish: Literal["human"] | Wish, ctx: Ctx) -> Step:
    """A voice note: nobody here can listen."""
    return _serve(v, wish, ctx)


@customer.opens
def hello(v: Visit, ctx: Ctx) -> Step:
    return _hello(v, ctx)


def _serve(v: Visit, wish: Shown | Wish, ctx: Ctx) -> Step:
    match wish:
        case "human":
            return _person(v, ctx)
        case "data":
            return go(privacy, _calm(v))
        case "more":
            return go(lobby, _calm(v))
        case "english":
            return go(lobby, _calm(v), "english_now", locale="en")
        case "hours":
            return _inform(v, Wish(topics=frozenset({"hours", "week", "address"})), ctx)
        case "prices" | "address" | "delivery" | "payment" | "contact":
            return _inform(v, Wish(topics=frozenset({wish})), ctx)
        case Wish():
            return _wish(v, wish, ctx)
        case taken:
            return go(details, replace(_calm(v), met=v.met, about=taken))


def _wish(v: Visit, wish: Wish, ctx: Ctx) -> Step:
    """What was written, the gravest first."""
    topics = wish.topics
    if wish.file == "voice":
        return _not_understood(v, wish, ctx)
    if wish.file is not None:
        return go(offer_file, replace(_calm(v), file=wish.file, note=wish.text))
    if "secret" in topics:
        return go(answered, replace(_calm(v), bare=True), "secret")
    if "child" in topics:
        return go(answered, replace(_calm(v), bare=True), "child")
    if "wrong_number" in topics:
        return go(answered, Visit(met=True, bare=True), "wrong_number", also=(Stopped(),))
    if "others" in topics:
        return go(answered, replace(_calm(v), bare=True), "not_yours")
    if "complaint" in topics:
        return _complaint(v, wish.text, ctx)
    if "abuse" in topics:
        return _abuse(v)
    if "offers_off" in topics:
        return _no_offers(v)
    if "panel" in topics:
        return go(entering, replace(_calm(v), met=v.met))
    if "account" in topics:
        return go(account, replace(_calm(v), note=wish.text))
    if "plan" in topics:
        return go(plan, replace(_calm(v), note=wish.text))
    if "person" in topics:
        return _person(v, ctx)
    return _converse(v, wish, ctx)


def _converse(v: Visit, wish: Wish, ctx: Ctx) -> Step:
    """Language, questions, greetings."""
    v, locale = _language(v, wish, ctx)
    if wish.topics & PEOPLE_ONLY:
        return _to_team(v, wish, ctx, locale=locale)
    if wish.day is not None and "hours" in v.answered and not wish.topics:
        # "¿Y el domingo?" after the hours of another day.
        return _inform(v, replace(wish, topics=frozenset({"hours"})), ctx, locale=locale)
    if wish.topics - SMALL_TALK:
        return _inform(v, wish, ctx, locale=locale)
    if locale.startswith("en"):
        return go(lobby, _calm(v), "english_now", locale=locale)
    if locale:
        return go(lobby, _calm(v), "spanish_now", locale=locale)
    if wish.language == "pt" and not v.unclear:
        words = _together([*_notice(v, shop_of(ctx.firm)), say("portuguese")])
        return go(answered, replace(_calm(v), bare=True, unclear=1), words, locale=locale)
    if wish.language == "ht" and not v.unclear:
        words = _together([*_notice(v, shop_of(ctx.firm)), say("kreyol")])
        return go(answered, replace(_calm(v), unclear=1), words, locale=locale)
    if "greeting" in wish.topics:
        return go(lobby, _calm(v), "again") if v.met else _hello(v, ctx)
    if has_product(wish, shop_of(ctx.firm)):
        return _inform(v, replace(wish, topics=frozenset({"prices"})), ctx, locale=locale)
    if read_yes_no(wish.text) is False:
        # "No, gracias" where nothing was asked closes the talk.
        return go(answered, replace(_calm(v), bare=True))
    return _not_understood(v, wish, ctx)


def _language(v: Visit, wish: Wish, ctx: Ctx) -> tuple[Visit, str]:
    """The visit, and the language to go on in if it changes: English from the second message in it."""
    if ctx.locale.startswith("en"):
        return (replace(v, english=0), ctx.firm.locale) if "spanish" in wish.topics else (v, "")
    if "english" in wish.topics:
        return replace(v, english=ENGLISH_FROM), "en"
    if wish.language == "en":
        english = v.english + 1
        return replace(v, english=english), "en" if english >= ENGLISH_FROM else ""
    return v, ""


def _hello(v: Visit, ctx: Ctx) -> Step:
    shop = shop_of(ctx.firm)
    # Who is spoken to in another language is not greeted in two.
    theirs = ctx.locale.partition("_")[0] == ctx.firm.locale.partition("_")[0]
    greeting = ended(shop.greeting) if theirs and shop.greeting else ""
    return go(lobby, _calm(v), say("hello", shop=shop, greeting=greeting))


def _calm(v: Visit) -> Visit:
    """The visit after something that was understood."""
    return Visit(met=True, rude=v.rude, english=v.english)


# ---------------------------------------------------------------- answers


def _inform(v: Visit, wish: Wish, ctx: Ctx, *, locale: str = "") -> Step:
    """All that was asked, in one message; what the firm has not told is offered to its people."""
    shop = shop_of(ctx.firm)
    asked = [topic for topic in ANSWERED if topic in wish.topics]
    if "stock" in wish.topics and has_product(wish, shop) and "prices" not in asked:
        asked.insert(0, "prices")
    told = {topic: words for topic in asked if (words := answer(topic, wish, shop, ctx))}
    missing = len(told) < len(asked) or (not asked and bool(wish.topics))
    if not told and not missing:
        return _not_understood(v, wish, ctx)
    if missing:
        about = " ".join(sorted(wish.topics))
        asks = replace(_calm(v), met=v.met, answered=tuple(told), note=wish.text, about=about)
        return go(unknown, asks, _together(list(told.values())), locale=locale)
    words = _together([*told.values(), *_notice(v, shop)])
    shown = replace(_calm(v), answered=tuple(told), bare=not v.met)
    return go(answered, shown, words, locale=locale)


def _notice(v: Visit, shop: Shop) -> list[Say]:
    """To somebody new: that this is a machine, and what becomes of their words."""
    return [] if v.met else [say("notice", shop=shop)]


def _together(words: Sequence[Say]) -> Say | None:
    if not words:
        return None
    first, *more = words
    return Say(first.key, first.names, tuple(more))


@customer.asks(rests=True)
def unknown(v: Visit, wish: bool | Wish, ctx: Ctx) -> Step:
    if isinstance(wish, Wish):
        return _wish(replace(v, note="", about=""), wish, ctx)
    return _pass_on(v, ctx) if wish else _close(v, ctx)


@customer.gives_up
def lost(v: Visit, why: Lost, ctx: Ctx) -> Step:
    """A question that wants one answer got three others, or a system failed."""
    return go(call_person, replace(_calm(v), why="unclear" if why == "tries" else "asked"))


def _close(v: Visit, ctx: Ctx) -> Step:
    """After *no, gracias*."""
    words = _together([say("as_you_like"), *_notice(v, shop_of(ctx.firm))])
    return go(answered, replace(_calm(v), bare=True), words)


def _not_understood(v: Visit, wish: Wish, ctx: Ctx) -> Step:
    """Twice in other words, then a person without being asked."""
    if not v.met and wish.file is None:
        return _hello(v, ctx)
    if v.unclear >= 2:
        return go(call_person, replace(_calm(v), note=wish.text, why="unclear"))
    again = replace(v, met=True, unclear=v.unclear + 1, bare=False)
    return go(unclear, again) if wish.file is None else go(unheard, again)


# ---------------------------------------------------------------- what people have to do


@customer.on("human")
def person(v: Visit, ctx: Ctx) -> Step:
    return _person(v, ctx)


@customer.on("status")
def status(v: Visit, ctx: Ctx) -> Step:
    return _to_team(v, Wish(topics=frozenset({"orders"})), ctx)


def _to_team(v: Visit, wish: Wish, ctx: Ctx, *, locale: str = "") -> Step:
    """Orders, bookings, bills: the bot does not see them, and says so."""
    shop = shop_of(ctx.firm)
    words = [
        words
        for topic in ANSWERED
        if topic in wish.topics and (words := answer(topic, wish, shop, ctx))
    ]
    about = min(wish.topics & PEOPLE_ONLY)
    asks = replace(_calm(v), met=v.met, note=wish.text, about=about)
    return go(pass_on, asks, _together(words), locale=locale)


@customer.asks(rests=True)
def pass_on(v: Visit, wish: bool | Wish, ctx: Ctx) -> Step:
    if isinstance(wish, Wish):
        return _wish(replace(v, note="", about=""), wish, ctx)
    return _pass_on(v, ctx) if wish else _close(v, ctx)


def _pass_on(v: Visit, ctx: Ctx) -> Step:
    """To a person, with the words that we have."""
    if not v.note:
        return _person(v, ctx)
    return go(call_person, replace(v, why="noted"))


def _complaint(v: Visit, text: str, ctx: Ctx) -> Step:
    return go(call_person, replace(_calm(v), note=text, why="complaint", team=URGENT))


def _abuse(v: Visit) -> Step:
    return go(upset, replace(_calm(v), rude=v.rude + 1))


def _once(v: Visit) -> Sequence[str]:
    return ["human"] if v.rude <= 1 else []


@customer.asks(rests=True, shows=_once)
def upset(v: Visit, wish: Literal["human"] | Wish, ctx: Ctx) -> Step:
    """Calm once, then silent; but an insult with a complaint is a complaint."""
    if wish == "human":
        return _person(v, ctx)
    if wish.topics == {"abuse"}:
        return _abuse(v)
    if wish.topics or wish.file is not None:
        return _wish(v, wish, ctx)
    return _complaint(v, wish.text, ctx)


def _person(v: Visit, ctx: Ctx) -> Step:
    """At once if somebody is there; else a message for when they are."""
    shop = shop_of(ctx.firm)
    caller = replace(_calm(v), met=v.met, about=v.about, team=v.team)
    if not ctx.firm.desk:
        return go(leave_note, caller, "for_team")
    if shop.hours is None or shop.hours.is_open(ctx.now):
        return go(call_person, replace(caller, why="asked"))
    opens = shop.hours.next_opening(ctx.now)
    if opens is None:
        return go(leave_note, caller, "for_team")
    return go(
        leave_note, caller, say("closed", opens=opens, near=_is_near(opens.start.date(), ctx))
    )


@customer.asks
def leave_note(v: Visit, note: Literal["none"] | Text, ctx: Ctx) -> Step:
    if note == "none":
        return go(answered, replace(_calm(v), bare=True), "no_note")
    return go(call_person, replace(v, note=mask_secrets(note), why="noted"))


@customer.asks
def details(v: Visit, note: Literal["none"] | Text) -> Step:
    """An option whose answer people give: what they need to know for it."""
    if note == "none":
        return go(answered, replace(_calm(v), bare=True), "no_note")
    return go(call_person, replace(v, note=mask_secrets(note), why="noted"))


@customer.asks(rests=True)
def offer_file(v: Visit, wish: bool | Wish, ctx: Ctx) -> Step:
    if isinstance(wish, Wish):
        return _wish(v, wish, ctx)
    if not wish:
        return _close(v, ctx)
    return go(call_person, replace(v, why="file", about=f"file.{v.file}"))


@customer.calls(lambda v: OpenHandoff(note=v.note, team=v.team, about=v.about))
def call_person(v: Visit, opened: Handoff, ctx: Ctx) -> Step:
    if v.why == "right":
        return go(answered, replace(_calm(v), bare=True), _right(v, opened, ctx))
    if ctx.host is not None:
        return _only_shown(v)
    if not ctx.firm.desk:
        words = _together([say("recorded", shop=shop_of(ctx.firm)), *_notice(v, shop_of(ctx.firm))])
        return go(answered, replace(_calm(v), bare=True), words)
    return hand_off(_together([_called(v, opened, ctx), *_notice(v, shop_of(ctx.firm))]), v.team)


@call_person.on("human")
@call_person.on("data")
@call_person.on("status")
def being_called(v: Visit) -> Step:
    """One request is enough; its answer follows by itself."""
    return stay(repeat=False)


@call_person.failed
def not_called(v: Visit, failure: Failed, ctx: Ctx) -> Step:
    """The request is recorded with the turn, whether the desk answers or not."""
    return hand_off("desk_down", v.team) if ctx.host is None else _only_shown(v)


def _only_shown(v: Visit) -> Step:
    """On another firm's number nothing reaches the people of this one, and nobody may believe that it did."""
    return go(answered, replace(_calm(v), bare=True), "only_shown")


def _called(v: Visit, opened: Handoff, ctx: Ctx) -> Say:
    """Who answers, until when or from when."""
    hours = shop_of(ctx.firm).hours
    opens = None if hours is None or hours.is_open(ctx.now) else hours.next_opening(ctx.now)
    closes = hours.closes_at(ctx.now) if hours and opens is None else None
    until = opened.until or (f"{closes.hour}:{closes.minute:02}" if closes else "")
    start = None if opened.until or opens is None else opens.start
    near = start is not None and _is_near(start.date(), ctx)
    match v.why:
        case "unclear":
            return say("given_up", until=until, start=start, near=near)
        case "complaint":
            return say("sorry", until=until, start=start, near=near)
        case "noted" | "file":
            return say("noted", until=until, start=start, near=near)
        case _:
            return say("called", until=until, start=start, near=near)


def _is_near(day: date, ctx: Ctx) -> bool:
    """Whether the day has a name: today, tomorrow."""
    return day <= ctx.now.date() + timedelta(days=1)


# ---------------------------------------------------------------- words with two meanings


@lobby.on("cancel")
@answered.on("cancel")
@unclear.on("cancel")
def nothing_running(v: Visit, ctx: Ctx) -> Step:
    """In Chile *cancelar* is also to pay. Where the bot is only shown, that ends."""
    return go(cancelling, _calm(v)) if ctx.host is None else customer.end(result=True)


@customer.asks(rests=True)
def cancelling(v: Visit, wish: Literal["annul", "pay", "nothing"] | Wish, ctx: Ctx) -> Step:
    match wish:
        case "annul":
            return _person(replace(v, about="annul"), ctx)
        case "pay":
            return _inform(v, Wish(topics=frozenset({"payment"})), ctx)
        case "nothing":
            return _close(v, ctx)
        case Wish():
            return _wish(v, wish, ctx)


@customer.asks(rests=True)
def account(v: Visit, wish: Literal["settle", "close"] | Wish, ctx: Ctx) -> Step:
    match wish:
        case "settle":
            return _inform(v, Wish(topics=frozenset({"payment"})), ctx)
        case "close":
            return go(call_person, replace(v, why="noted", about="account.close"))
        case Wish():
            return _wish(replace(v, note=""), wish, ctx)


@customer.asks(rests=True)
def plan(v: Visit, wish: Literal["end_plan", "no_messages"] | Wish, ctx: Ctx) -> Step:
    match wish:
        case "end_plan":
            return go(call_person, replace(v, why="noted", about="plan.end"))
        case "no_messages":
            return go(answered, replace(_calm(v), bare=True), "no_messages_now", also=(Stopped(),))
        case Wish():
            return _wish(replace(v, note=""), wish, ctx)


# ---------------------------------------------------------------- global words


@customer.on("menu")
def menu(v: Visit, ctx: Ctx) -> Step:
    return go(lobby, _calm(v)) if v.met else _hello(v, ctx)


@customer.on("back")
def back(v: Visit) -> Step:
    """An answer is no question to go back to: the main list is."""
    return go(lobby, _calm(v))


@customer.on("cancel")
def leave(v: Visit) -> Step:
    return go(answered, replace(_calm(v), bare=True), "left")


@customer.on("data")
def data(v: Visit) -> Step:
    return go(privacy, _calm(v))


@customer.interrupts
def danger(v: Visit, heard: Heard, ctx: Ctx) -> Step | None:
    """Numbers first, then a person. No question, no advice, and nothing else from the bot."""
    match read_danger(heard.text):
        case "emergency":
            return hand_off("emergency", URGENT)
        case "self_harm":
            return hand_off("self_harm", URGENT)
        case "violence":
            return hand_off("violence", URGENT)
        case None:
            return _login(v, heard)


# ---------------------------------------------------------------- logging in


def _login(v: Visit, heard: Heard) -> Step | None:
    if heard.kind == "code":
        return stay("code_typed", repeat=False)
    if (ref := ref_in(heard)) is not None:
        return go(signing_in, replace(_calm(v), met=v.met, ref=ref))
    return None


@customer.runs(login, lambda v: Login(v.ref))
def signing_in(v: Visit, came: Came) -> Step:
    v = replace(_calm(v), met=v.met, bare=True)
    return go(warned, v) if came is Came.refused else go(answered, v)


@customer.asks(idle=REMEMBERED, rests=True)
def warned(v: Visit, wish: Literal["human"] | Wish, ctx: Ctx) -> Step:
    """Somebody tried to get in with their help."""
    return _serve(v, wish, ctx)


@customer.runs(panel, lambda v: Entry())
def entering(v: Visit, entered: bool) -> Step:
    return go(answered, replace(_calm(v), met=v.met, bare=entered))


# ---------------------------------------------------------------- one's own data


@customer.asks
def privacy(
    v: Visit,
    right: Literal["copy", "fix", "erase", "offers", "pause", "talk"] | Wish,
    ctx: Ctx,
) -> Step:
    """Only a person can verify who asks; the bot takes the request and names the day."""
    match right:
        case "copy" | "pause":
            return go(call_person, _request(v, about=f"data.{right}"))
        case "fix":
            return go(correction, v)
        case "erase":
            return go(erasure, v)
        case "offers":
            return _no_offers(v)
        case "talk":
            return _person(replace(v, team=PRIVACY_TEAM), ctx)
        case Wish():
            return _wish(v, right, ctx)


@customer.asks
def correction(v: Visit, note: Text) -> Step:
    return go(call_person, replace(_request(v, about="data.fix"), note=mask_secrets(note)))


@correction.on("back")
def not_corrected(v: Visit) -> Step:
    return go(privacy, v)


@customer.asks(by_tap=True)
def erasure(v: Visit, agrees: bool) -> Step:
    if agrees:
        return go(call_person, _request(v, about="data.erase"))
    return go(answered, replace(_calm(v), bare=True), "kept")


@erasure.on("back")
def not_erased(v: Visit) -> Step:
    return go(privacy, v)


def _request(v: Visit, *, about: str) -> Visit:
    return replace(_calm(v), why="right", about=about, team=PRIVACY_TEAM)


def _right(v: Visit, opened: Handoff, ctx: Ctx) -> Say:
    today = ctx.now.date()
    if v.about == "data.pause":
        return say("right", id=opened.id, due=_workdays_after(today, BLOCK_WORKDAYS))
    return say("right", id=opened.id, due=today + timedelta(days=RIGHTS_DAYS))


def _workdays_after(day: date, count: int) -> date:
    """Without public holidays: promising a day too early harms nobody."""
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day


def _no_offers(v: Visit) -> Step:
    return go(
        answered,
        replace(_calm(v), bare=True),
        "no_offers",
        also=(Consented("marketing", granted=False),),
    )
