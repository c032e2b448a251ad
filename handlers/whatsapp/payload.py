"""Writes the bodies of `POST /<phone_number_id>/messages`.

Source: Meta, "Messages API" and the pages of each kind of message and template, "Typing indicators" (v26.0).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, assert_never

from msgspec import Raw
from msgspec.json import Encoder

from flows.dialog.content import (
    Audio,
    Button,
    Buttons,
    Card,
    CardAddress,
    Carousel,
    Catalogue,
    Contacts,
    Content,
    Coupon,
    Document,
    File,
    Fixed,
    Form,
    Header,
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
    Rows,
    Shelf,
    Slide,
    Sticker,
    Template,
    TemplateButton,
    TemplateHeader,
    Text,
    UrlEnd,
    Variable,
    Video,
    WebFile,
)
from flows.dialog.events import NO_JSON
from flows.values.ids import FileId, ItemId, Wamid

FORM_VERSION: Final = "3"

Uploads = Mapping[FileId, str]
"""Meta's id of each of our files, on the number that sends."""

NO_UPLOADS: Final[Uploads] = MappingProxyType({})

_encode = Encoder().encode

_Json = dict[str, object]
_Media = Image | Video | Audio | Document | Sticker
_Interactive = (
    Buttons
    | Rows
    | Link
    | PlaceRequest
    | PhoneRequest
    | Form
    | Product
    | Products
    | Catalogue
    | Carousel
)


class NotUploadedError(Exception):
    """A file of ours is not with Meta, so nobody could be shown it."""


def message(
    content: Content,
    *,
    to: str,
    recipient: str,
    item: ItemId,
    quotes: Wamid,
    uploads: Uploads = NO_UPLOADS,
) -> bytes:
    """The body that sends `content`.

    Args:
        to: the phone, as WhatsApp keeps it; used whenever it is known.
        recipient: the BSUID, for people whose phone is hidden.
        item: comes back in every status of the message: how a send in doubt is settled.
        quotes: the message that it visibly answers; may be empty.
        uploads: of `files_of(content)`.

    Raises:
        NotUploadedError: a file is not among the uploads.
    """
    body: _Json = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    if to:
        # Meta: always with "+" and country code, or the sender's own country may be put in front.
        body["to"] = f"+{to}"
    else:
        body["recipient"] = recipient
    if quotes:
        body["context"] = {"message_id": quotes}
    kind, said = _said(content, uploads)
    body["type"] = kind
    body[kind] = said
    body["biz_opaque_callback_data"] = item
    return _encode(body)


def receipt(read: Wamid, *, typing: bool) -> bytes:
    """The body that marks `read`, and all before it, as read; `typing` shows the dots for up to 25 s."""
    body: _Json = {"messaging_product": "whatsapp", "status": "read", "message_id": read}
    if typing:
        body["typing_indicator"] = {"type": "text"}
    return _encode(body)


def _said(content: Content, uploads: Uploads) -> tuple[str, object]:
    """(type, what stands under the key of that name)."""
    match content:
        case Text():
            return "text", {"body": content.body, "preview_url": content.preview}
        case Image() | Video() | Audio() | Document() | Sticker():
            return _medium(content, uploads)
        case Place():
            return "location", _place(content)
        case Contacts():
            return "contacts", [_card(card) for card in content.cards]
        case Reaction():
            return "reaction", {"message_id": content.message, "emoji": content.emoji}
        case Template():
            return "template", _template(content, uploads)
        case (
            Buttons()
            | Rows()
            | Link()
            | PlaceRequest()
            | PhoneRequest()
            | Form()
            | Product()
            | Products()
            | Catalogue()
            | Carousel()
        ):
            return "interactive", _interactive(content, uploads)
        case _:
            assert_never(content)


# ------------------------------------------------------------------ files, people, places


def _file(file: File, uploads: Uploads) -> _Json:
    match file:
        case WebFile(url=url):
            return {"link": url}
        case OurFile(id=id):
            if id not in uploads:
                raise NotUploadedError(id)
            return {"id": uploads[id]}
        case _:
            assert_never(file)


def _medium(medium: _Media, uploads: Uploads) -> tuple[str, _Json]:
    """(its type, its object), as in a message of its own, in a header and in a template."""
    said = _file(medium.file, uploads)
    match medium:
        case Image() | Video():
            said |= _given(caption=medium.caption)
        case Document():
            said |= {"filename": medium.name} | _given(caption=medium.caption)
        case Audio() if medium.voice:
            said["voice"] = True
        case _:
            pass
    return type(medium).__name__.lower(), said


def _place(place: Place) -> _Json:
    return {
        "latitude": place.latitude,
        "longitude": place.longitude,
        **_given(name=place.name, address=place.address),
    }


def _card(card: Card) -> _Json:
    # Meta wants one part of the name beside the shown one.
    first = card.first or ("" if card.last else card.name)
    org = _given(company=card.company, department=card.department, title=card.role)
    said: _Json = {
        "name": {"formatted_name": card.name, **_given(first_name=first, last_name=card.last)}
    }
    if card.phones:
        said["phones"] = [
            {"phone": each.phone, "type": each.kind, **_given(wa_id=each.wa_id)}
            for each in card.phones
        ]
    if card.mails:
        said["emails"] = [{"email": each.mail, "type": each.kind} for each in card.mails]
    if card.links:
        said["urls"] = [{"url": each.url, "type": each.kind} for each in card.links]
    if card.addresses:
        said["addresses"] = [_address(each) for each in card.addresses]
    if org:
        said["org"] = org
    return said | _given(birthday=card.birthday)


def _address(address: CardAddress) -> _Json:
    return {
        **_given(
            street=address.street,
            city=address.city,
            state=address.state,
            zip=address.zip,
            country=address.country,
            country_code=address.country_code,
        ),
        "type": address.kind,
    }


# ------------------------------------------------------------------ interactive


def _interactive(content: _Interactive, uploads: Uploads) -> _Json:
    kind, action = _action(content, uploads)
    said: _Json = {"type": kind}
    header: Header = ""
    footer = ""
    if isinstance(content, Buttons | Rows | Link | Form | Products):
        header = content.header
    if not isinstance(content, PlaceRequest | PhoneRequest | Carousel):
        footer = content.footer
    if header:
        said["header"] = _header(header, uploads)
    if content.body:
        said["body"] = {"text": content.body}
    if footer:
        said["footer"] = {"text": footer}
    said["action"] = action
    return said


def _header(header: Header, uploads: Uploads) -> _Json:
    if isinstance(header, str):
        return {"type": "text", "text": header}
    kind, medium = _medium(header, uploads)
    return {"type": kind, kind: medium}


def _action(content: _Interactive, uploads: Uploads) -> tuple[str, _Json]:
    match content:
        case Buttons():
            return "button", {"buttons": [_button("reply", each) for each in content.buttons]}
        case Rows():
            return "list", {"button": content.button, "sections": _sections(content)}
        case Link():
            return "cta_url", _link(content.title, content.url)
        case PlaceRequest():
            return "location_request_message", {"name": "send_location"}
        case PhoneRequest():
            return "request_contact_info", {"name": "request_contact_info"}
        case Form():
            return "flow", {"name": "flow", "parameters": _form(content)}
        case Product():
            return "product", {
                "catalog_id": content.catalogue,
                "product_retailer_id": content.product,
            }
        case Products():
            return "product_list", {
                "catalog_id": content.catalogue,
                "sections": _shelves(content.shelves),
            }
        case Catalogue():
            parameters = _given(thumbnail_product_retailer_id=content.thumbnail)
            return "catalog_message", {
                "name": "catalog_message",
                **({"parameters": parameters} if parameters else {}),
            }
        case Carousel():
            cards = [_slide(n, card, uploads) for n, card in enumerate(content.cards)]
            return "carousel", {"cards": cards}
        case _:
            assert_never(content)


def _button(kind: str, button: Button) -> _Json:
    return {"type": kind, kind: {"id": button.id, "title": button.title}}


def _sections(content: Rows) -> list[_Json]:
    return [
        {
            **_given(title=title),
            "rows": [
                {"id": row.id, "title": row.title, **_given(description=row.description)}
                for row in rows
            ],
        }
        for title, rows in content.sections()
    ]


def _link(title: str, url: str) -> _Json:
    return {"name": "cta_url", "parameters": {"display_text": title, "url": url}}


def _form(form: Form) -> _Json:
    said: _Json = {
        "flow_message_version": FORM_VERSION,
        **_given(flow_id=form.id, flow_name=form.name),
        "flow_cta": form.title,
        **_given(flow_token=form.token),
        "mode": "draft" if form.draft else "published",
        "flow_action": "navigate" if form.screen else "data_exchange",
    }
    if form.screen:
        said["flow_action_payload"] = {"screen": form.screen, **_given_json(data=form.data)}
    return said


def _shelves(shelves: Sequence[Shelf]) -> list[_Json]:
    return [
        {
            **_given(title=shelf.title),
            "product_items": [{"product_retailer_id": product} for product in shelf.products],
        }
        for shelf in shelves
    ]


def _slide(index: int, slide: Slide, uploads: Uploads) -> _Json:
    said: _Json = {
        "card_index": index,
        # Meta's page shows this type on cards of either build.
        "type": "cta_url",
        "header": _header(slide.medium, uploads),
    }
    if slide.body:
        said["body"] = {"text": slide.body}
    if slide.url:
        said["action"] = _link(slide.title, slide.url)
    else:
        said["action"] = {"buttons": [_button("quick_reply", each) for each in slide.buttons]}
    return said


# ------------------------------------------------------------------ templates


def _template(template: Template, uploads: Uploads) -> _Json:
    components: list[_Json] = []
    if template.header is not None:
        components.append(_template_header(template.header, uploads))
    if template.offer_ends:
        offer = {"expiration_time_ms": template.offer_ends}
        components.append(
            _component(
                "limited_time_offer", {"type": "limited_time_offer", "limited_time_offer": offer}
            )
        )
    if template.code:
        # An authentication template shows the code in its body and copies it by its button: both need it.
        code: _Json = {"type": "text", "text": template.code}
        components.append(_component("body", code))
        components.append(_button_component(0, "url", code))
    components += _variables(template.variables)
    components += _buttons(template.buttons)
    if template.cards:
        cards = [
            {
                "card_index": n,
                "components": [
                    _template_header(card.header, uploads),
                    *_variables(card.variables),
                    *_buttons(card.buttons),
                ],
            }
            for n, card in enumerate(template.cards)
        ]
        components.append({"type": "carousel", "cards": cards})
    body: _Json = {"name": template.name, "language": {"code": template.language}}
    if components:
        body["components"] = components
    return body


def _component(kind: str, *parameters: _Json) -> _Json:
    return {"type": kind, "parameters": list(parameters)}


def _template_header(header: TemplateHeader, uploads: Uploads) -> _Json:
    match header:
        case Variable():
            return _component("header", _variable(header.name, header.value))
        case Place():
            return _component("header", {"type": "location", "location": _place(header)})
        case Product():
            product = {
                "catalog_id": header.catalogue,
                "product_retailer_id": header.product,
            }
            return _component("header", {"type": "product", "product": product})
        case Image() | Video() | Document():
            kind, medium = _medium(header, uploads)
            return _component("header", {"type": kind, kind: medium})
        case _:
            assert_never(header)


def _variables(variables: Sequence[tuple[str, str]]) -> list[_Json]:
    if not variables:
        return []
    return [_component("body", *(_variable(name, value) for name, value in variables))]


def _variable(name: str, value: str) -> _Json:
    # Positional ones are told by their place alone.
    named = {} if name.isdigit() else {"parameter_name": name}
    return {"type": "text", **named, "text": value}


def _buttons(buttons: Sequence[TemplateButton]) -> list[_Json]:
    said = (_template_button(index, button) for index, button in enumerate(buttons))
    return [button for button in said if button is not None]


def _template_button(index: int, button: TemplateButton) -> _Json | None:
    match button:
        case Fixed():
            return None
        case Reply(payload=payload):
            return _button_component(index, "quick_reply", {"type": "payload", "payload": payload})
        case UrlEnd(end=end):
            return _button_component(index, "url", {"type": "text", "text": end})
        case Coupon(code=code):
            return _button_component(
                index, "copy_code", {"type": "coupon_code", "coupon_code": code}
            )
        case OpenForm(token=token, data=data):
            action = _given(flow_token=token) | _given_json(flow_action_data=data)
            return _action_component(index, "flow", action) if action else None
        case OpenCatalogue(thumbnail=thumbnail):
            action = _given(thumbnail_product_retailer_id=thumbnail)
            return _action_component(index, "catalog", action) if action else None
        case OpenProducts(thumbnail=thumbnail, shelves=shelves):
            shown: _Json = {
                "thumbnail_product_retailer_id": thumbnail,
                "sections": _shelves(shelves),
            }
            return _action_component(index, "mpm", shown)
        case _:
            assert_never(button)


def _action_component(index: int, kind: str, action: _Json) -> _Json:
    return _button_component(index, kind, {"type": "action", "action": action})


def _button_component(index: int, kind: str, parameter: _Json) -> _Json:
    return {"type": "button", "sub_type": kind, "index": str(index), "parameters": [parameter]}


# ------------------------------------------------------------------ what is left out


def _given(**fields: str) -> _Json:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}


def _given_json(**fields: Raw) -> _Json:
    return {name: value for name, value in fields.items() if value != NO_JSON}
