"""Whatever can be built is taken: our limits and our shapes against an independent reading of Meta's."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from msgspec import Raw

from flows.dialog import content as said
from flows.dialog.content import Content, ContentError
from flows.dialog.events import NO_JSON
from flows.values.ids import FileId, ItemId, Wamid
from handlers.whatsapp import payload
from handlers.whatsapp.emulator.content import ButtonKind
from handlers.whatsapp.emulator.sends import read_request
from handlers.whatsapp.emulator.templates import Button, Card, HeaderKind, Template
from handlers.whatsapp.emulator.world import Send
from tests.flows.dialog.sample_contents import SAMPLES, TEMPLATES

UPLOADS = {FileId("f1"): "9001", FileId("f2"): "9002"}
T = TypeVar("T")


def words(most: int, least: int = 1) -> st.SearchStrategy[str]:
    """Anything, and as much as may be."""
    short = st.text(min_size=least, max_size=min(most, 12))
    return st.one_of(
        short, st.sampled_from(["Pan", "¿Sí?", "👍🏽", "a" * most, "ñ" * (most - 1) + "."])
    )


def maybe(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), strategy)


def several(
    strategy: st.SearchStrategy[T], least: int, most: int
) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def built(kind: Callable[..., T], **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Values of a kind; what cannot be built is left out."""

    def build(given: dict[str, Any]) -> T:
        try:
            return kind(**given)
        except ContentError:
            reject()

    return st.fixed_dictionaries(parts).map(build)


URL = st.sampled_from(
    ["https://a.cl", "https://sol.example/pan?x=ñ#y", "https://a.cl/" + "a" * 1900]
)
FILE = st.one_of(st.sampled_from(sorted(UPLOADS)).map(said.OurFile), URL.map(said.WebFile))
ID = st.sampled_from(["1", "100200300", "9" * 32])
JSONS = st.one_of(
    st.just(NO_JSON),
    st.dictionaries(
        words(5), st.one_of(words(5), st.integers(), st.booleans()), min_size=1, max_size=3
    ).map(lambda told: Raw(json.dumps(told).encode())),
)
PICTURE = built(said.Image, file=FILE)
FILM = built(said.Video, file=FILE)
PAPER = built(said.Document, file=FILE, name=words(240))
ABOVE = st.one_of(maybe(words(60)), PICTURE, FILM, PAPER)
BUTTON = built(said.Button, id=words(256), title=words(20))
DEGREES = st.floats(-200, 200)
SHELF = built(said.Shelf, products=several(words(100), 1, 12), title=maybe(words(24)))
CARD = built(
    said.Card,
    name=words(255),
    first=maybe(words(255)),
    last=maybe(words(255)),
    phones=several(built(said.CardPhone, phone=st.sampled_from(["+56 9 6123 4567", "600 600 6000"]), wa_id=maybe(st.just("56961234567"))), 0, 2),
    mails=several(built(said.CardMail, mail=st.just("a@b.cl")), 0, 2),
    links=several(built(said.CardLink, url=URL), 0, 2),
    addresses=several(built(said.CardAddress, street=maybe(words(20)), city=maybe(words(20)), country_code=maybe(st.just("CL"))), 0, 2),
    company=maybe(words(20)),
    department=maybe(words(20)),
    role=maybe(words(20)),
    birthday=maybe(st.dates().map(str)),
)  # fmt: skip
PRODUCT = built(said.Product, catalogue=ID, product=words(100))


def slides(draw: st.DrawFn) -> tuple[said.Slide, ...]:
    """Cards of one build: other ones cannot be made."""
    media: list[type[said.Image] | type[said.Video]] = [said.Image, said.Video]
    medium = draw(st.sampled_from(media))
    count = draw(st.integers(2, 10))
    buttons = draw(st.integers(0, 3))
    return tuple(
        said.Slide(
            medium(said.WebFile(draw(URL))),
            draw(maybe(words(160))),
            tuple(said.Button(f"{n}-{k}", draw(words(18)) + f"{k}") for k in range(buttons)),
            "" if buttons else draw(words(20)),
            "" if buttons else draw(URL),
        )
        for n in range(count)
    )


PRESSES: dict[type, st.SearchStrategy[Any]] = {
    said.Fixed: st.just(said.Fixed()),
    said.Reply: built(said.Reply, payload=words(256)),
    said.UrlEnd: built(said.UrlEnd, end=words(1000)),
    said.Coupon: built(said.Coupon, code=st.from_regex("[A-Za-z0-9]{1,15}", fullmatch=True)),
    said.OpenForm: built(said.OpenForm, token=maybe(words(200)), data=JSONS),
    said.OpenCatalogue: built(said.OpenCatalogue, thumbnail=maybe(words(100))),
    said.OpenProducts: built(said.OpenProducts, thumbnail=words(100), shelves=several(SHELF, 1, 3)),
}
NAMED = st.dictionaries(
    st.from_regex("[a-z_][a-z0-9_]{0,9}", fullmatch=True), words(60), max_size=4
)
NUMBERED = st.lists(words(60), max_size=4).map(
    lambda told: {f"{n}": value for n, value in enumerate(told, 1)}
)


def cards(draw: st.DrawFn, numbered: bool) -> tuple[said.TemplateCard, ...]:
    headers: list[st.SearchStrategy[Any]] = [PICTURE, FILM, PRODUCT]
    header = draw(st.sampled_from(headers))
    kinds = draw(st.lists(st.sampled_from([said.Fixed, said.Reply, said.UrlEnd]), max_size=2))
    variables = NUMBERED if numbered else NAMED
    return tuple(
        said.TemplateCard(
            draw(header),
            tuple(draw(variables).items()),
            tuple(draw(PRESSES[kind]) for kind in kinds),
        )
        for _ in range(draw(st.integers(2, 4)))
    )


@st.composite
def templates(draw: st.DrawFn) -> said.Template:
    numbered = draw(st.booleans())
    shape = draw(st.sampled_from(["plain", "code", "cards", "offer"]))
    told: dict[str, Any] = {"name": "aviso_1", "language": "es_CL"}
    if shape != "code":
        told["variables"] = tuple(draw(NUMBERED if numbered else NAMED).items())
    if shape == "code":
        told["code"] = draw(words(15))
    if shape == "cards":
        told["cards"] = cards(draw, numbered)
    if shape in ("plain", "offer"):
        place = built(
            said.Place, latitude=DEGREES, longitude=DEGREES, name=words(60), address=words(60)
        )
        variable = built(
            said.Variable, name=st.just("1" if numbered else "numero"), value=words(60)
        )
        told["header"] = draw(st.one_of(st.none(), PICTURE, FILM, PAPER, place, PRODUCT, variable))
        told["buttons"] = draw(several(st.one_of(*PRESSES.values()), 0, 4))
    if shape == "offer":
        told["buttons"] = (draw(PRESSES[said.Coupon]), *told["buttons"][:2])
        told["offer_ends"] = draw(st.integers(1, 2**45))
    try:
        return said.Template(**told)
    except ContentError:
        reject()


KINDS: dict[type, st.SearchStrategy[Any]] = {
    said.Text: built(said.Text, body=words(4096), preview=st.booleans()),
    said.Buttons: built(said.Buttons, body=words(1024), buttons=several(BUTTON, 1, 3), footer=maybe(words(60)), header=ABOVE),
    said.Rows: built(
        said.Rows, body=words(4096), button=words(20), footer=maybe(words(60)), header=maybe(words(60)),
        rows=several(
            built(said.Row, id=words(200), title=words(24), description=maybe(words(72)), section=st.sampled_from(["", "A", "B"])),
            1, 10,
        ).map(lambda rows: tuple(sorted(rows, key=lambda row: row.section))),
    ),
    said.Link: built(said.Link, body=words(1024), title=words(20), url=URL, footer=maybe(words(60)), header=ABOVE),
    said.PlaceRequest: built(said.PlaceRequest, body=words(1024)),
    said.PhoneRequest: built(said.PhoneRequest, body=words(1024)),
    said.Form: built(
        said.Form, body=words(1024), title=words(20), id=maybe(ID), name=maybe(words(200)), token=maybe(words(200)),
        screen=st.sampled_from(["", "START"]), data=JSONS, draft=st.booleans(), footer=maybe(words(60)), header=ABOVE,
    ),
    said.Image: built(said.Image, file=FILE, caption=maybe(words(1024))),
    said.Video: built(said.Video, file=FILE, caption=maybe(words(1024))),
    said.Audio: built(said.Audio, file=FILE, voice=st.booleans()),
    said.Document: built(said.Document, file=FILE, name=words(240), caption=maybe(words(1024))),
    said.Sticker: built(said.Sticker, file=FILE),
    said.Contacts: built(said.Contacts, cards=several(CARD, 1, 3)),
    said.Place: built(said.Place, latitude=DEGREES, longitude=DEGREES, name=maybe(words(1000)), address=maybe(words(1000))),
    said.Reaction: built(said.Reaction, message=st.just("wamid.X"), emoji=st.one_of(st.text(max_size=2), st.sampled_from(["👍🏽", "🇨🇱", "❤️", "1️⃣"]))),
    said.Product: built(said.Product, catalogue=ID, product=words(100), body=maybe(words(1024)), footer=maybe(words(60))),
    said.Products: built(
        said.Products, header=words(60), body=words(1024), catalogue=ID, shelves=several(SHELF, 1, 10), footer=maybe(words(60)),
    ),
    said.Catalogue: built(said.Catalogue, body=words(1024), thumbnail=maybe(words(100)), footer=maybe(words(60))),
    said.Carousel: built(said.Carousel, body=words(1024), cards=st.composite(slides)()),
    said.Template: templates(),
}  # fmt: skip


def test_every_kind_is_tried() -> None:
    assert set(KINDS) == set(get_args(Content))


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in KINDS])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_what_can_be_built_is_taken(kind: type, data: st.DataObject) -> None:
    take(data.draw(KINDS[kind]))


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(each, id=name) for name, each in SAMPLES.items()),
        *(pytest.param(each, id=f"template-{name}") for name, each in TEMPLATES.items()),
    ],
)
def test_each_sample_is_taken(content: Content) -> None:
    take(content)


def take(content: Content) -> None:
    """Write it, and let the emulator read it. Raises GraphError."""
    uploads = dict.fromkeys(said.files_of(content), "9001")
    body = payload.message(
        content,
        to="56961234567",
        recipient="",
        item=ItemId("wa/c1:7-0"),
        quotes=Wamid(""),
        uploads=uploads,
    )
    approved = approved_as(content) if isinstance(content, said.Template) else None

    send = read_request(json.loads(body), lambda name, language: approved)

    assert isinstance(send, Send)


# ------------------------------------------------------------------ the template that would be filled like this


def approved_as(content: said.Template) -> Template:
    header, words_above = header_of(content)
    numbered = any(name.isdigit() for name, _ in content.variables)
    if isinstance(content.header, said.Variable):
        numbered = content.header.name.isdigit()
    if any(name.isdigit() for each in content.cards for name, _ in each.variables):
        numbered = True
    return Template(
        name=content.name,
        language=content.language,
        category="AUTHENTICATION" if content.code else "MARKETING",
        parameter_format="POSITIONAL" if numbered or content.code else "NAMED",
        body="{{1}}" if content.code else body_of(content.variables),
        header=header,
        header_text=words_above,
        buttons=(Button("OTP", "Copiar"),) if content.code else buttons_of(content.buttons),
        cards=tuple(
            Card(card_header(card), body_of(card.variables), buttons_of(card.buttons))
            for card in content.cards
        ),
        offer="Solo hoy" if content.offer_ends else "",
        offer_expires=bool(content.offer_ends),
    )


def body_of(variables: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{{{{{name}}}}}" for name, _ in variables)


def header_of(content: said.Template) -> tuple[HeaderKind, str]:
    match content.header:
        case None:
            return "", ""
        case said.Variable(name=name):
            return "TEXT", f"{{{{{name}}}}}"
        case said.Place():
            return "LOCATION", ""
        case said.Product():
            return "PRODUCT", ""
        case said.Image():
            return "IMAGE", ""
        case said.Video():
            return "VIDEO", ""
        case said.Document():
            return "DOCUMENT", ""


def card_header(card: said.TemplateCard) -> Any:
    return type(card.header).__name__.upper()


TYPES: dict[type, ButtonKind] = {
    said.Fixed: "PHONE_NUMBER",
    said.Reply: "QUICK_REPLY",
    said.UrlEnd: "URL",
    said.Coupon: "COPY_CODE",
    said.OpenForm: "FLOW",
    said.OpenCatalogue: "CATALOG",
    said.OpenProducts: "MPM",
}


def buttons_of(buttons: Sequence[said.TemplateButton]) -> tuple[Button, ...]:
    return tuple(
        Button(
            TYPES[type(each)],
            "Botón",
            "https://a.cl/{{1}}" if isinstance(each, said.UrlEnd) else "",
        )
        for each in buttons
    )
