"""The tokens of forms on their way: sealed into a message that opens a form, opened in the answer that comes back.

What a form sends is whatever its client writes. Its token is the one thing in it that only we can have made, so an answer
without a good one says nothing.
"""

from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from flows.dialog.content import Content, Form, OpenForm, Template, TemplateButton
from flows.dialog.events import NO_JSON, Heard
from flows.values.ids import NO_CONVERSATION, ConversationId
from handlers.actions import FormTicket
from handlers.ports import Channel, Directory, FormTickets
from handlers.whatsapp.form_api import name_at_meta

TOKEN: Final = "flow_token"  # noqa: S105  Meta's name of the field

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


class NoFormKeyError(Exception):
    """Our endpoint answers the form, and the number has no key to read its questions with."""


class FormTokens:
    """For the sender and the webhook."""

    def __init__(
        self,
        tickets: FormTickets,
        *,
        directory: Directory,
        answered: Collection[str],
        spoken: Callable[[str], str],
    ) -> None:
        """
        Args:
            answered: names of the forms that our endpoint answers; we have them in each language that we speak.
            spoken: the one of these languages that somebody with a given locale is spoken to in.
        """
        self._tickets = tickets
        self._directory = directory
        self._answered = answered
        self._spoken = spoken

    def sealed(self, content: Content, ticket: FormTicket, channel: Channel) -> Content:
        """The content with a token that is good on this channel, for the one conversation; a form of ours in its language.

        Raises:
            NoFormKeyError: see there.
        """
        match content:
            case Form(token=token):
                form = content.name or content.id
                content = replace(content, token=self._seal(form, token, ticket, channel))
                if form not in self._answered:
                    return content
                return replace(content, name=name_at_meta(form, self._spoken(ticket.locale)))
            case Template(buttons=buttons):
                return replace(
                    content,
                    buttons=tuple(self._button(button, ticket, channel) for button in buttons),
                )
            case _:
                return content

    def opened(self, channel: Channel, heard: Heard) -> tuple[Heard, ConversationId]:
        """A form's answer with the flow's own token, and the conversation that it belongs to; without both if it is not ours."""
        try:
            answer = _decode(heard.form)
        except msgspec.DecodeError:
            answer = {}
        token = answer.get(TOKEN)
        ticket = self._tickets.open(channel, token) if isinstance(token, str) else None
        # What counts is when it was sent: Meta may bring it days later.
        if ticket is None or heard.at * 1000 >= ticket.until_ms:
            return replace(heard, form=NO_JSON), NO_CONVERSATION
        return replace(
            heard, form=Raw(_encode(answer | {TOKEN: ticket.token}))
        ), ticket.conversation

    def _button(
        self, button: TemplateButton, ticket: FormTicket, channel: Channel
    ) -> TemplateButton:
        if not isinstance(button, OpenForm):
            return button
        return replace(button, token=self._seal(button.form, button.token, ticket, channel))

    def _seal(self, form: str, token: str, ticket: FormTicket, channel: Channel) -> str:
        if form in self._answered and not self._directory.form_keys(channel.id):
            raise NoFormKeyError(form)
        return self._tickets.seal(channel, replace(ticket, form=form, token=token))
