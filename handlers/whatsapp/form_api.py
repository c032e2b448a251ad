"""Speaks to the Graph API of forms: the public key of a number, a form's JSON, its publication.

Source: Meta, "Business encryption", "Flows API" (v26.0).
"""

import secrets
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

import msgspec

from flows.dialog.texts import DEFAULT_LOCALE
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, MaybeSentError

LIST_BYTES_MAX: Final = 1024 * 1024
PAGES_MAX: Final = 40
CATEGORIES: Final = (
    "SIGN_UP", "SIGN_IN", "APPOINTMENT_BOOKING", "LEAD_GENERATION", "CONTACT_US", "CUSTOMER_SUPPORT", "SURVEY",
    "OTHER",
)  # fmt: skip


_Answer = TypeVar("_Answer")


def name_at_meta(form: str, locale: str) -> str:
    """Forms have no languages at Meta: in each but the default one a form is one of its own there."""
    return form if locale == DEFAULT_LOCALE else f"{form}_{locale}"


class KeyAtMeta(msgspec.Struct, frozen=True):
    """The public key that Meta's clients encrypt with."""

    business_public_key: str = ""
    business_public_key_signature_status: Literal["VALID", "MISMATCH", ""] = ""
    """MISMATCH: the number was registered anew since; upload the key again."""


class FormAtMeta(msgspec.Struct, frozen=True):
    """A form of a WhatsApp Business Account."""

    id: str
    name: str
    status: str = ""
    """DRAFT, PUBLISHED, DEPRECATED, BLOCKED, THROTTLED."""


class FormError(msgspec.Struct, frozen=True):
    """What Meta finds wrong in a form's JSON."""

    message: str = ""
    line_start: int = 0


class _Keys(msgspec.Struct, frozen=True):
    data: tuple[KeyAtMeta, ...] = ()


class _Cursors(msgspec.Struct, frozen=True):
    after: str = ""


class _Paging(msgspec.Struct, frozen=True):
    cursors: _Cursors = _Cursors()
    next: str = ""


class _Forms(msgspec.Struct, frozen=True):
    data: tuple[FormAtMeta, ...] = ()
    paging: _Paging = _Paging()


class _Made(msgspec.Struct, frozen=True):
    id: str


class _Uploaded(msgspec.Struct, frozen=True):
    validation_errors: tuple[FormError, ...] = ()


class FormApi:
    """The calls about forms, for one token. Each raises `GraphError`; doing it twice does no harm."""

    def __init__(self, graph: Graph, token: str) -> None:
        self._graph = graph
        self._token = token

    async def key(self, phone_number_id: str) -> KeyAtMeta:
        """The key that Meta has of a number; empty if it has none."""
        path = f"{phone_number_id}/whatsapp_business_encryption"
        keys = _read(await self._graph.get(path, self._token), _Keys)
        return keys.data[0] if keys.data else KeyAtMeta()

    async def put_key(self, phone_number_id: str, public_pem: str) -> None:
        """Make it the number's key: from now on Meta's clients encrypt with it, as soon as they fetch it."""
        body = msgspec.json.encode({"business_public_key": public_pem})
        path = f"{phone_number_id}/whatsapp_business_encryption"
        await self._graph.request("POST", path, self._token, body)

    async def find(self, waba: str, name: str) -> FormAtMeta | None:
        """The form of an account by its name."""
        after = ""
        for _ in range(PAGES_MAX):
            page = f"{waba}/flows?fields=id,name,status&limit=100" + (
                f"&after={after}" if after else ""
            )
            answer = await self._graph.request(
                "GET", page, self._token, answer_bytes_max=LIST_BYTES_MAX
            )
            forms = _read(answer, _Forms)
            for form in forms.data:
                if form.name == name and form.status != "DEPRECATED":
                    return form
            if not forms.paging.next:
                return None
            after = forms.paging.cursors.after
        raise GraphError("the account has too many forms to look through")

    async def create(self, waba: str, name: str, categories: Sequence[str]) -> str:
        """A new form, a draft without a screen; answers its id."""
        body = msgspec.json.encode({"name": name, "categories": categories})
        answer = await self._graph.request("POST", f"{waba}/flows", self._token, body)
        return _read(answer, _Made).id

    async def point(self, form: str, endpoint: str) -> None:
        """Where its screens are asked for."""
        body = msgspec.json.encode({"endpoint_uri": endpoint})
        await self._graph.request("POST", form, self._token, body)

    async def upload(self, form: str, text: bytes) -> tuple[FormError, ...]:
        """Its screens; answers what Meta finds wrong with them. A published form is a draft again after it."""
        boundary = secrets.token_hex(16)
        parts = [
            _part(boundary, 'name="name"', b"flow.json"),
            _part(boundary, 'name="asset_type"', b"FLOW_JSON"),
            _part(boundary, 'name="file"; filename="flow.json"', text, "application/json"),
            f"--{boundary}--\r\n".encode(),
        ]
        answer = await self._graph.request(
            "POST",
            f"{form}/assets",
            self._token,
            b"".join(parts),
            content_type=f"multipart/form-data; boundary={boundary}",
            answer_bytes_max=LIST_BYTES_MAX,
        )
        return _read(answer, _Uploaded).validation_errors

    async def publish(self, form: str) -> None:
        """From now on it may be sent to everybody."""
        await self._graph.request("POST", f"{form}/publish", self._token, b"{}")


def _part(boundary: str, disposition: str, data: bytes, mime: str = "") -> bytes:
    kind = f"Content-Type: {mime}\r\n" if mime else ""
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n"
    return head.encode() + data + b"\r\n"


def _read(answer: object, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.convert(answer, kind, strict=False)
    except msgspec.ValidationError:
        raise MaybeSentError("an answer of another shape") from None
