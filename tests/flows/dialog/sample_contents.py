"""One good value of each kind of content, and ways to spoil it."""

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from flows.dialog.content import (
    Audio,
    Button,
    Buttons,
    Card,
    CardAddress,
    CardLink,
    CardMail,
    CardPhone,
    Carousel,
    Catalogue,
    Contacts,
    Content,
    Coupon,
    Document,
    Fixed,
    Form,
    Image,
    Link,
    OpenCatalogue,
    OpenForm,
    OpenProducts,
    OurFile,
    PhoneRequest,
    Place,
    PlaceRequest,
    Product,
    Products,
    Reaction,
    Reply,
    Row,
    Rows,
    Shelf,
    Slide,
    Sticker,
    Template,
    TemplateCard,
    Text,
    UrlEnd,
    Variable,
    Video,
    WebFile,
)
from flows.values.ids import FileId, Wamid

OURS: Final = OurFile(FileId("0197a1b2-0000-7000-8000-000000000001"))
WEB: Final = WebFile("https://sol.example/torta.jpg")

IMAGE: Final = Image(WEB)
DOCUMENT: Final = Document(OURS, "F-2031.pdf")
PLACE: Final = Place(-33.0428, -71.3733, "Panadería Sol", "Av. Los Aromos 123")
CARD: Final = Card(
    "Camila Soto",
    first="Camila",
    last="Soto",
    phones=(CardPhone("+56 9 6123 4567", wa_id="56961234567"),),
    mails=(CardMail("camila@sol.example"),),
    links=(CardLink("https://sol.example"),),
    addresses=(CardAddress(street="Av. Los Aromos 123", city="Villa Alemana", country_code="CL"),),
    company="Panadería Sol",
    role="Ventas",
    birthday="1990-05-31",
)
REPLIES: Final = (Button("yes", "Sí"), Button("no", "No"))
SLIDE: Final = Slide(IMAGE, "Torta de mil hojas", (Button("a", "Ver"),))
LINKED: Final = Slide(IMAGE, "Torta de mil hojas", (), "Ver", "https://sol.example/1")
FORM: Final = Form(
    "Faltan unos datos.", "Llenar", name="sign_up", screen="START", data=Raw(b'{"name":"Ana"}')
)

SAMPLES: Final[dict[str, Content]] = {
    "text": Text("Hola"),
    "buttons": Buttons("¿Confirmas?", REPLIES, "Panadería Sol", DOCUMENT),
    "rows": Rows("¿Cuál?", "Ver", (Row("1", "Hallulla", "por kilo", "Panes"), Row("2", "Torta", "", "Dulces")), header="Carta"),
    "link": Link("Paga acá", "Pagar", "https://sol.example/pagar", header=IMAGE),
    "place_request": PlaceRequest("¿Dónde estás?"),
    "phone_request": PhoneRequest("¿Cuál es tu número?"),
    "form": FORM,
    "image": Image(OURS, "Así quedó"),
    "video": Video(WebFile("https://sol.example/horno.mp4"), "El horno"),
    "audio": Audio(OURS, voice=True),
    "document": Document(WEB, "carta.pdf", "La carta"),
    "sticker": Sticker(OURS),
    "contacts": Contacts((CARD,)),
    "place": PLACE,
    "reaction": Reaction(Wamid("wamid.X"), "👍🏽"),
    "product": Product("100200300", "sku-1", "Recién horneada", "Panadería Sol"),
    "products": Products("Carta", "¿Qué llevas?", "100200300", (Shelf(("sku-1",), "Panes"), Shelf(("sku-2", "sku-3"), "Dulces"))),
    "catalogue": Catalogue("Mira todo lo que hay", "sku-1"),
    "carousel": Carousel("¿Cuál torta?", (SLIDE, replace(SLIDE, buttons=(Button("b", "Ver"),)))),
    "template": Template(
        "pedido", "es_CL", (("nombre", "Ana"),), header=DOCUMENT,
        buttons=(Reply("1:x:y"), Fixed(), UrlEnd("1042")),
    ),
}  # fmt: skip
"""By tag."""

TEMPLATES: Final[dict[str, Template]] = {
    "positional": Template("aviso", "es", (("1", "Ana"), ("2", "lunes"))),
    "header-variable": Template("aviso", "es", header=Variable("numero", "1042")),
    "header-place": Template("aviso", "es", header=PLACE),
    "header-product": Template("aviso", "es", header=Product("100", "sku-1")),
    "code": Template("codigo_ingreso", "es", code="482913"),
    "form": Template("aviso", "es", buttons=(OpenForm("t-1", Raw(b'{"a":1}')),)),
    "catalogue": Template("aviso", "es", buttons=(OpenCatalogue("sku-1"),)),
    "products": Template("aviso", "es", buttons=(OpenProducts("sku-1", (Shelf(("sku-1", "sku-2")),)),)),
    "offer": Template("oferta", "es", header=IMAGE, buttons=(Coupon("PAN25"), UrlEnd("pan")), offer_ends=1_795_000_000_000),
    "carousel": Template(
        "tortas", "es", (("nombre", "Ana"),),
        cards=tuple(
            TemplateCard(IMAGE, (("precio", f"${n}.990"),), (Reply(f"t-{n}"), UrlEnd(f"t{n}"))) for n in (1, 2)
        ),
    ),
}  # fmt: skip


def spoilt(good: Struct, path: str, value: Any) -> Struct:
    """The value with one part of it replaced, e.g. at `cards[1].buttons[0].title`. Raises what the whole raises."""
    head, _, rest = path.partition(".")
    name, _, place = head.rstrip("]").partition("[")
    part = getattr(good, name)
    if place:
        inner = spoilt(part[int(place)], rest, value) if rest else value
        part = (*part[: int(place)], inner, *part[int(place) + 1 :])
    else:
        part = spoilt(part, rest, value) if rest else value
    return replace(good, **{name: part})
