"""What WhatsApp would refuse cannot be made, and the error names the part and what fits."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw, Struct

from flows.dialog.content import (
    Button,
    CardAddress,
    CardLink,
    CardMail,
    CardPhone,
    Content,
    ContentError,
    Coupon,
    Document,
    Fixed,
    Image,
    OpenCatalogue,
    OpenForm,
    OpenProducts,
    OurFile,
    Place,
    Product,
    Reply,
    Row,
    Shelf,
    Slide,
    Template,
    UrlEnd,
    Variable,
    Video,
    WebFile,
    body_of,
    files_of,
)
from flows.values.ids import FileId
from tests.flows.dialog.sample_contents import (
    CARD,
    DOCUMENT,
    IMAGE,
    LINKED,
    OURS,
    PLACE,
    SAMPLES,
    SLIDE,
    TEMPLATES,
    WEB,
    spoilt,
)

decode = msgspec.json.Decoder(Content).decode
VIDEO = Video(WebFile("https://sol.example/v.mp4"))
BLANK = "is empty"


def fits(most: int) -> str:
    return f"has {most + 1} characters, {most} fit"


LENGTHS = [
    ("text", "body", 4096),
    ("buttons", "body", 1024),
    ("buttons", "footer", 60),
    ("buttons", "buttons[1].id", 256),
    ("buttons", "buttons[1].title", 20),
    ("rows", "body", 4096),
    ("rows", "button", 20),
    ("rows", "header", 60),
    ("rows", "footer", 60),
    ("rows", "rows[1].id", 200),
    ("rows", "rows[1].title", 24),
    ("rows", "rows[1].description", 72),
    ("rows", "rows[1].section", 24),
    ("link", "body", 1024),
    ("link", "title", 20),
    ("link", "header", 60),
    ("place_request", "body", 1024),
    ("phone_request", "body", 1024),
    ("form", "body", 1024),
    ("form", "title", 20),
    ("form", "footer", 60),
    ("form", "token", 600),
    ("image", "caption", 1024),
    ("video", "caption", 1024),
    ("document", "caption", 1024),
    ("document", "name", 240),
    ("contacts", "cards[0].name", 255),
    ("contacts", "cards[0].company", 255),
    ("place", "name", 1000),
    ("place", "address", 1000),
    ("product", "body", 1024),
    ("product", "footer", 60),
    ("product", "product", 100),
    ("products", "header", 60),
    ("products", "body", 1024),
    ("products", "shelves[1].title", 24),
    ("products", "shelves[1].products[0]", 100),
    ("catalogue", "body", 1024),
    ("catalogue", "thumbnail", 100),
    ("carousel", "body", 1024),
    ("carousel", "cards[1].body", 160),
    ("carousel", "cards[1].buttons[0].title", 20),
    ("carousel", "cards[1].buttons[0].id", 20),
    ("template", "name", 512),
    ("template", "language", 10),
    ("template", "buttons[0].payload", 256),
    ("template", "buttons[2].end", 1000),
]


@pytest.mark.parametrize(
    ("kind", "path", "most"),
    [pytest.param(*each, id=f"{each[0]}.{each[1]}") for each in LENGTHS],
)
def test_a_text_may_be_as_long_as_fits_and_no_longer(kind: str, path: str, most: int) -> None:
    good = SAMPLES[kind]

    spoilt(good, path, "a" * most)
    with pytest.raises(ContentError) as raised:
        spoilt(good, path, "a" * (most + 1))
    assert (raised.value.field, raised.value.problem) == (path, fits(most))


REQUIRED = [
    (kind, path)
    for kind, path, _ in LENGTHS
    if path.rpartition(".")[2].partition("[")[0]
    in (
        "body",
        "title",
        "id",
        "name",
        "button",
        "payload",
        "end",
        "language",
        "product",
        "products",
    )
    and (kind, path) not in {("product", "body"), ("place", "name"), ("carousel", "cards[1].body")}
]


@pytest.mark.parametrize(
    ("kind", "path"), [pytest.param(*each, id=f"{each[0]}.{each[1]}") for each in REQUIRED]
)
@pytest.mark.parametrize("nothing", ["", " \n"])
def test_what_is_needed_may_not_be_blank(kind: str, path: str, nothing: str) -> None:
    with pytest.raises(ContentError) as raised:
        spoilt(SAMPLES[kind], path, nothing)

    assert raised.value.field == path


def test_an_error_says_where_and_what_fits() -> None:
    with pytest.raises(ContentError) as raised:
        spoilt(SAMPLES["carousel"], "cards[1].buttons[0].title", "a" * 25)

    assert str(raised.value) == "cards[1].buttons[0].title: has 25 characters, 20 fit"


REFUSED: list[tuple[str, str, Any, str, str]] = [
    # ------------------------------------------------ buttons, lists, links
    ("buttons", "buttons", (), "buttons", "are 0, 1 to 3 fit"),
    ("buttons", "buttons", tuple(Button(f"{n}", f"{n}") for n in range(4)), "buttons", "are 4, 1 to 3 fit"),
    ("buttons", "buttons[1].id", "yes", "buttons", "repeat an id"),
    ("buttons", "buttons[1].title", "Sí", "buttons", "repeat a title"),
    ("buttons", "header", Image(WEB, "hola"), "header.caption", "has no place in a header: the body says it"),
    ("buttons", "footer", " ", "footer", "is blank"),
    ("rows", "rows", (), "rows", "are 0, 1 to 10 fit"),
    ("rows", "rows", tuple(Row(f"{n}", f"{n}") for n in range(11)), "rows", "are 11, 1 to 10 fit"),
    ("rows", "rows[1].id", "1", "rows", "repeat an id"),
    ("rows", "rows[1].title", "Hallulla", "rows", "repeat a title"),
    ("rows", "rows[1].section", "", "rows[1].section", "is missing here or too much elsewhere"),
    ("rows", "rows", (Row("1", "a", "", "A"), Row("2", "b", "", "B"), Row("3", "c", "", "A")), "rows[2].section",
     "comes back after another one"),
    ("rows", "header", IMAGE, "header", "takes words alone, not image"),
    ("link", "url", "http://sol.example", "url", "does not start with https://"),
    ("link", "url", "https://sol example", "url", "is no address"),
    ("link", "url", "https://", "url", "is no address"),
    ("link", "url", "https://a.cl/" + "a" * 1990, "url", "has 2003 characters, 2000 fit"),
    # ------------------------------------------------ files
    ("image", "file", WebFile("http://a.cl/x.jpg"), "file.url", "does not start with https://"),
    ("image", "file", OurFile(FileId("")), "file.id", BLANK),
    ("audio", "file", WebFile("nada"), "file.url", "does not start with https://"),
    ("sticker", "file", OurFile(FileId("a" * 65)), "file.id", "has 65 characters, 64 fit"),
    ("document", "name", "a/b.pdf", "name", "is no name of a file"),
    ("document", "name", "a\nb.pdf", "name", "is no name of a file"),
    # ------------------------------------------------ people, places, reactions
    ("contacts", "cards", (), "cards", "are 0, 1 to 257 fit"),
    ("contacts", "cards", (CARD,) * 258, "cards", "are 258, 1 to 257 fit"),
    ("contacts", "cards[0].phones", (CardPhone("mi celular"),), "cards[0].phones[0].phone", "is no telephone number"),
    ("contacts", "cards[0].phones", (CardPhone("+56 9 6123 4567", wa_id="+56"),), "cards[0].phones[0].wa_id",
     "is not made of digits"),
    ("contacts", "cards[0].mails", (CardMail("camila"),), "cards[0].mails[0].mail", "is no mail address"),
    ("contacts", "cards[0].links", (CardLink("sol.example"),), "cards[0].links[0].url", "does not start with https://"),
    ("contacts", "cards[0].addresses", (CardAddress(),), "cards[0].addresses[0]", "says nothing"),
    ("contacts", "cards[0].addresses[0].country_code", "Chile", "cards[0].addresses[0].country_code",
     "is not two capital letters"),
    ("contacts", "cards[0].company", "", "cards[0].company", "is missing beside a department or a role"),
    ("contacts", "cards[0].birthday", "31-05-1990", "cards[0].birthday", "is no day like 1990-05-31"),
    ("place", "latitude", 90.1, "latitude", "is not within -90 and 90"),
    ("place", "longitude", -180.1, "longitude", "is not within -180 and 180"),
    ("place", "latitude", float("nan"), "latitude", "is not within -90 and 90"),
    ("place", "name", "", "address", "is not shown without a name"),
    ("reaction", "message", "", "message", BLANK),
    ("reaction", "emoji", "ok", "emoji", "is not one emoji"),
    ("reaction", "emoji", "👍👍", "emoji", "is not one emoji"),
    ("reaction", "emoji", "1", "emoji", "is not one emoji"),
    # ------------------------------------------------ forms
    ("form", "title", "Llenar 📝", "title", "has an emoji, which this button takes none of"),
    ("form", "name", "", "id", "or else name says which form, and only one of them"),
    ("form", "id", "123", "id", "or else name says which form, and only one of them"),
    ("form", "screen", "", "screen", "is missing: data are given to a screen"),
    ("form", "screen", "uno dos", "screen", "is no name of a screen"),
    ("form", "data", Raw(b"{}"), "data", "is empty: leave it out"),
    ("form", "data", Raw(b"[1]"), "data", "is no JSON object"),
    ("form", "data", Raw(b"{"), "data", "is no JSON object"),
    # ------------------------------------------------ products and carousels
    ("product", "catalogue", "mi catálogo", "catalogue", "is no id of Meta's: digits"),
    ("products", "header", "", "header", BLANK),
    ("products", "shelves", (), "shelves", "are 0, 1 to 10 fit"),
    ("products", "shelves", (Shelf(("a",), "A"),) * 11, "shelves", "are 11, 1 to 10 fit"),
    ("products", "shelves", (Shelf(("a",) * 16, "A"), Shelf(("a",) * 15, "B")), "shelves", "hold 31 products, 30 fit"),
    ("products", "shelves[1].products", (), "shelves[1].products", "are 0, 1 to 30 fit"),
    ("products", "shelves[0].title", "", "shelves[0].title", BLANK),
    ("carousel", "cards", (SLIDE,), "cards", "are 1, 2 to 10 fit"),
    ("carousel", "cards", (LINKED,) * 11, "cards", "are 11, 2 to 10 fit"),
    ("carousel", "cards[1].body", "a\nb\nc\nd", "cards[1].body", "has 3 line breaks, 2 fit"),
    ("carousel", "cards[1].medium", VIDEO, "cards[1].medium", "is of another kind than the first card's"),
    ("carousel", "cards[1].medium", Image(OURS), "cards[1].medium.file", "has to be a link in a carousel"),
    ("carousel", "cards[1].medium", Image(WEB, "a"), "cards[1].medium.caption", "has no place in a header: the body says it"),
    ("carousel", "cards[1].buttons", (Button("b", "B"), Button("c", "C")), "cards[1].buttons",
     "are of another number than the first card's"),
    ("carousel", "cards[1].buttons", (), "cards[1]", "needs either a link or buttons"),
    ("carousel", "cards[1].url", "https://a.cl", "cards[1]", "needs either a link or buttons"),
    ("carousel", "cards[1]", LINKED, "cards[1].buttons", "are of another number than the first card's"),
    ("carousel", "cards[1].title", "Ver", "cards[1].title", "has no link to open"),
    ("carousel", "cards[1].buttons[0].id", "a", "cards", "repeat a button's id"),
    ("carousel", "cards[0].buttons", tuple(Button(f"{n}", f"{n}") for n in range(4)), "cards[0].buttons", "are 4, 0 to 3 fit"),
    # ------------------------------------------------ templates
    ("template", "name", "Hola mundo", "name", "is not made of small letters, digits and _"),
    ("template", "variables", (("nombre", "Ana\nSoto"),), "variables[nombre]", "holds a line break, a tab or a gap"),
    ("template", "variables", (("nombre", "a" * 1025),), "variables[nombre]", "has 1025 characters, 1024 fit"),
    ("template", "variables", (("a", "x" * 600), ("b", "x" * 425)), "variables", "have 1025 characters, 1024 fit"),
    ("template", "variables", (("Nombre", "Ana"),), "variables[Nombre]", "is no name of a variable"),
    ("template", "variables", (("a", "Ana"), ("a", "Eva")), "variables", "repeat a name"),
    ("template", "variables", (("2", "Ana"), ("1", "Eva")), "variables", "are numbered from 1 on, in order, or all named"),
    ("template", "variables", (("1", "Ana"), ("a", "Eva")), "variables", "are numbered from 1 on, in order, or all named"),
    ("template", "header", Variable("1", "x"), "variables", "are numbered here and named there"),
    ("template", "header", Variable("a", "x" * 61), "header.value", "has 61 characters, 60 fit"),
    ("template", "header", Image(WEB, "a"), "header.caption", "has no place in a header: the body says it"),
    ("template", "header", Place(0, 0, "Sol"), "header.address", BLANK),
    ("template", "header", Product("1", "a", "hola"), "header", "of a product says nothing by itself"),
    ("template", "buttons", (Fixed(),) * 11, "buttons", "are 11, 0 to 10 fit"),
    ("template", "buttons", (UrlEnd("a"),) * 3, "buttons", "hold 3 of a kind, 2 fit"),
    ("template", "buttons", (Coupon("A"), Coupon("B")), "buttons", "hold 2 of a kind, 1 fit"),
    ("template", "buttons", (OpenForm(), OpenForm()), "buttons", "hold 2 of a kind, 1 fit"),
    ("template", "buttons", (OpenCatalogue(), Fixed()), "buttons", "take nothing beside the catalogue"),
    ("template", "buttons", (Coupon("PAN 25"),), "buttons[0].code", "is not made of letters and digits"),
    ("template", "buttons", (Coupon("A" * 16),), "buttons[0].code", "has 16 characters, 15 fit"),
    ("template", "buttons", (UrlEnd("a b"),), "buttons[0].end", "holds a blank"),
    ("template", "buttons", (OpenForm("a" * 601),), "buttons[0].token", "has 601 characters, 600 fit"),
    ("template", "buttons", (OpenProducts("", (Shelf(("a",)),)),), "buttons[0].thumbnail", BLANK),
    ("template", "buttons", (OpenProducts("a", ()),), "buttons[0].shelves", "are 0, 1 to 10 fit"),
    ("template", "code", "1234", "variables", "have no place in an authentication template"),
    ("template", "offer_ends", 1, "buttons", "of an offer that ends begin with its coupon"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "path", "value", "field", "problem"),
    [pytest.param(*each, id=f"{n}-{each[0]}.{each[3]}") for n, each in enumerate(REFUSED)],
)
def test_what_whatsapp_refuses_cannot_be_made(
    kind: str, path: str, value: object, field: str, problem: str
) -> None:
    with pytest.raises(ContentError) as raised:
        spoilt(SAMPLES[kind], path, value)

    assert (raised.value.field, raised.value.problem) == (field, problem)


@pytest.mark.parametrize(
    ("kind", "path", "value", "field", "problem"),
    [
        pytest.param("code", "code", "1" * 16, "code", "has 16 characters, 15 fit", id="code-16"),
        pytest.param("code", "code", "1\n2", "code", "holds a line break, a tab or a gap", id="code-in-two-lines"),
        pytest.param("carousel", "cards", TEMPLATES["carousel"].cards[:1], "cards", "are 1, 2 to 10 fit", id="one-card"),
        pytest.param("carousel", "header", IMAGE, "header", "have no place beside cards", id="header-beside-cards"),
        pytest.param("carousel", "buttons", (Fixed(),), "buttons", "have no place beside cards", id="buttons-beside-cards"),
        pytest.param("carousel", "cards[1].header", VIDEO, "cards[1].header", "is of another kind than the first card's", id="headers-differ"),
        pytest.param("carousel", "cards[1].buttons", (Reply("a"),), "cards[1].buttons", "are of other kinds than the first card's", id="buttons-differ"),
        pytest.param("carousel", "cards[1].buttons", (Fixed(),) * 3, "cards[1].buttons", "are 3, 0 to 2 fit", id="three-buttons"),
        pytest.param("carousel", "cards[1].variables", (("precio", "\t"),), "cards[1].variables[precio]", "is empty", id="variable-of-a-card"),
        pytest.param("offer", "offer_ends", -1, "offer_ends", "is before all time", id="before-all-time"),
        pytest.param("form", "buttons[0].data", Raw(b"1"), "buttons[0].data", "is no JSON object", id="data-of-a-form"),
    ],
)  # fmt: skip
def test_what_whatsapp_refuses_of_a_template_cannot_be_made(
    kind: str, path: str, value: object, field: str, problem: str
) -> None:
    with pytest.raises(ContentError) as raised:
        spoilt(TEMPLATES[kind], path, value)

    assert (raised.value.field, raised.value.problem) == (field, problem)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        pytest.param("rows", "rows", tuple(Row(f"{n}", f"{n}") for n in range(10)), id="ten-rows"),
        pytest.param("rows", "rows", tuple(Row(f"{n}", f"{n}", "", f"{n}") for n in range(10)), id="ten-sections"),
        pytest.param("products", "shelves", (Shelf(("a",) * 30),), id="thirty-products-on-one-shelf"),
        pytest.param("products", "shelves", tuple(Shelf(("a",), f"{n}") for n in range(10)), id="ten-shelves"),
        pytest.param("carousel", "cards", (LINKED,) * 10, id="ten-cards"),
        pytest.param("carousel", "cards[1].body", "a\nb\nc", id="two-line-breaks"),
        pytest.param("carousel", "cards[1].body", "", id="a-card-without-words"),
        pytest.param("contacts", "cards", (CARD,) * 257, id="257-cards"),
        pytest.param("place", "latitude", -90, id="the-south-pole"),
        pytest.param("reaction", "emoji", "", id="taken-back"),
        pytest.param("reaction", "emoji", "👨‍👩‍👧‍👦", id="a-family"),
        pytest.param("reaction", "emoji", "🇨🇱", id="a-flag"),
        pytest.param("reaction", "emoji", "1️⃣", id="a-keycap"),
        pytest.param("template", "buttons", (Fixed(),) * 10, id="ten-buttons"),
        pytest.param("buttons", "header", DOCUMENT, id="a-document-above"),
        pytest.param("link", "header", VIDEO, id="a-video-above"),
        pytest.param("template", "header", PLACE, id="a-place-above"),
    ],
)  # fmt: skip
def test_what_fits_can_be_made(kind: str, path: str, value: object) -> None:
    spoilt(SAMPLES[kind], path, value)


# ------------------------------------------------------------------ stored and read again


def test_there_is_a_sample_of_each_kind() -> None:
    assert [type(sample) for sample in SAMPLES.values()] == list(get_args(Content))
    assert [sample.__struct_config__.tag for sample in SAMPLES.values()] == list(SAMPLES)


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(each, id=name) for name, each in SAMPLES.items()),
        *(pytest.param(each, id=f"template-{name}") for name, each in TEMPLATES.items()),
    ],
)
def test_a_content_comes_back_as_it_was_stored(content: Struct) -> None:
    assert decode(msgspec.json.encode(content)) == content


def test_what_is_stored_is_checked_when_it_is_read() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"buttons\[0\].title: has 21 characters"):
        decode(b'{"type":"buttons","body":"a","buttons":[{"id":"a","title":"%b"}]}' % (b"a" * 21))


@pytest.mark.parametrize(
    ("stored", "content"),
    [
        pytest.param(b'{"type":"text","body":"Hola"}', SAMPLES["text"], id="text"),
        pytest.param(
            b'{"type":"buttons","body":"\xc2\xbfConfirmas?","buttons":[{"id":"7:shop.menu:yes","title":"S\xc3\xad"}],"footer":"Sol"}',
            spoilt(spoilt(spoilt(SAMPLES["buttons"], "header", ""), "footer", "Sol"), "buttons",
                   (Button("7:shop.menu:yes", "Sí"),)),
            id="buttons",
        ),
        pytest.param(
            b'{"type":"rows","body":"\xc2\xbfCu\xc3\xa1l?","button":"Ver","rows":[{"id":"7:shop.pick:1","title":"Hallulla","description":"por kilo"},{"id":"7:shop.pick:+1","title":"Ver m\xc3\xa1s"}]}',
            spoilt(spoilt(SAMPLES["rows"], "header", ""), "rows",
                   (Row("7:shop.pick:1", "Hallulla", "por kilo"), Row("7:shop.pick:+1", "Ver más"))),
            id="rows",
        ),
        pytest.param(
            b'{"type":"link","body":"Paga ac\xc3\xa1","title":"Pagar","url":"https://sol.example/pagar"}',
            spoilt(SAMPLES["link"], "header", ""), id="link",
        ),
        pytest.param(
            b'{"type":"template","name":"hora","language":"es_CL","variables":[["nombre","Ana"]],"payloads":["7:shop.menu:yes","7:shop.menu:no"]}',
            Template("hora", "es_CL", (("nombre", "Ana"),), buttons=(Reply("7:shop.menu:yes"), Reply("7:shop.menu:no"))),
            id="template",
        ),
        pytest.param(
            b'{"type":"template","name":"codigo_ingreso","language":"es","code":"482913"}',
            TEMPLATES["code"], id="code",
        ),
    ],
)  # fmt: skip
def test_what_was_stored_before_can_still_be_read(stored: bytes, content: Content) -> None:
    assert decode(stored) == content


# ------------------------------------------------------------------ asking


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("text", "Hola", id="a-body"),
        pytest.param("image", "Así quedó", id="a-caption"),
        pytest.param("place", "Panadería Sol", id="a-name"),
        pytest.param("contacts", "Camila Soto", id="the-first-card"),
        pytest.param("template", "pedido", id="a-template"),
        pytest.param("sticker", "", id="nothing"),
    ],
)
def test_the_words_that_a_person_reads_first(kind: str, words: str) -> None:
    assert body_of(SAMPLES[kind]) == words


@pytest.mark.parametrize(
    ("content", "count"),
    [
        pytest.param(SAMPLES["image"], 1, id="a-file"),
        pytest.param(SAMPLES["document"], 0, id="a-file-of-the-web"),
        pytest.param(SAMPLES["buttons"], 1, id="above-buttons"),
        pytest.param(SAMPLES["template"], 1, id="above-a-template"),
        pytest.param(SAMPLES["text"], 0, id="no-file"),
        pytest.param(spoilt(spoilt(TEMPLATES["carousel"], "cards[0].header", Image(OURS)), "cards[1].header", Image(OURS)), 2, id="on-cards"),
    ],
)  # fmt: skip
def test_our_files_in_a_content_are_named(content: Content, count: int) -> None:
    assert files_of(content) == (OURS.id,) * count


def test_nothing_of_a_slide_is_forgotten_by_the_checks() -> None:
    assert set(Slide.__struct_fields__) == {"medium", "body", "buttons", "title", "url"}
    assert isinstance(DOCUMENT, Document)
