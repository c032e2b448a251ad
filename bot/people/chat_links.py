"""Links that open a chat with a number, with a message ready to be sent."""

from urllib.parse import quote

from handlers.ports import Channel


def chat_link(base: str, channel: Channel, message: str) -> str:
    """`base`: where such links lead, WhatsApp's own https://wa.me."""
    digits = "".join(filter(str.isdigit, channel.display_phone))
    return f"{base}/{digits}?text={quote(message, safe='')}"
