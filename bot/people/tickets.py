"""The tokens of forms: sealed, so that nobody else makes or reads one, and bound to a tenant and a channel."""

import msgspec

from bot.store.errors import SealError
from bot.store.secrets import SecretBox
from handlers.ports import Channel, FormTicket

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FormTicket).decode


class Tickets:
    """Implements `handlers.ports.FormTickets`."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, channel: Channel, ticket: FormTicket) -> str:
        return self._box.seal(
            _encode(ticket).decode(), tenant=channel.tenant, field=_field(channel)
        )

    def open(self, channel: Channel, token: str) -> FormTicket | None:
        try:
            return _decode(self._box.open(token, tenant=channel.tenant, field=_field(channel)))
        except (SealError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _field(channel: Channel) -> str:
    return f"forms.{channel.id}"
