"""A turn under way, and how it speaks. What else it can do lies in layers above: `turn_frames`, `turn_commands`, `turn_hearing`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from flows.dialog.content import Content, Document, Image, Medium, Template, Video
from flows.dialog.ctx import Ctx, Firm
from flows.dialog.effects import Effect
from flows.dialog.flow import After, Flow, Say, Speak, State, Step
from flows.dialog.keys import say_keys
from flows.dialog.question import Dress, Labels, Option, lay_out
from flows.dialog.session import Session, Status
from flows.dialog.texts import Texts, Voice
from flows.values.ids import NO_MESSAGE, TenantId

Firms = Callable[[TenantId], Firm | None]


def nobody(tenant: TenantId) -> None:
    """No firm's bot is shown on another's number."""


class Words:
    """A turn under way: the session taken apart, whose bot speaks, and what it has said so far."""

    def __init__(
        self,
        flows: Mapping[str, Flow[Any, Any]],
        texts: Texts,
        root: Flow[Any, Any],
        session: Session,
        ctx: Ctx,
        firms: Firms,
    ) -> None:
        self.flows = flows
        self.texts = texts
        self.root = root
        self.firms = firms
        # The session, taken apart.
        self.stack = list(session.stack)
        self.seq = session.seq
        self.timers = session.timers
        self.held = session.held
        self.status: Status = session.status
        self.locale = session.locale
        self.quiet_until = session.quiet_until
        # The turn.
        self.own = ctx
        self.ctx = ctx
        self.floor = 0
        """How many frames lie below those in which another firm's bot speaks."""
        self.voice: Voice
        self.words: list[str] = []
        self.effects: list[Effect] = []
        self.medium: Medium | None = None
        self.sent: Content | None = None
        self.content: Content | None = None
        self.ahead: tuple[Content, ...] = ()
        self.quotes = NO_MESSAGE
        self.worth: timedelta | None = None
        self.template: Template | None = None
        self.spoke_for: tuple[After, Any] | None = None
        self.hops = 0
        self.speak_in(session.locale)

    def speak_in(self, locale: str) -> None:
        self.locale = locale
        locale = locale or self.ctx.locale
        self.voice = self.texts.voice(locale)
        if locale != self.ctx.locale:
            self.ctx = dataclasses.replace(self.ctx, locale=locale)

    def speak_as(self, firm: Firm | None) -> None:
        """Whose bot speaks from here on; None: that of the number."""
        own = self.own
        if firm is None:
            locale = self.locale or own.locale
            self.ctx = own if locale == own.locale else dataclasses.replace(own, locale=locale)
        else:
            self.ctx = dataclasses.replace(
                own,
                firm=firm,
                host=own.firm,
                now=own.now.astimezone(ZoneInfo(firm.zone)),
                locale=self.locale or firm.locale,
            )
        self.voice = self.texts.voice(self.ctx.locale)

    def names(self, data: Any, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        ctx = self.ctx
        names = {"s": data, "ctx": ctx, "firm": ctx.firm, "now": ctx.now, "name": ctx.name}
        return {**names, **more} if more else names

    def text(self, key: str, data: Any = None, **more: Any) -> str:
        return self.voice.render(key, self.names(data, more))

    def speak(self, state: State[Any], data: Any, words: Say | None) -> None:
        if words is not None:
            self.words.append(self.worded(state, data, words.key, words.names))
            for more in words.more:
                self.speak(state, data, more)

    def worded(self, state: State[Any], data: Any, key: str, names: Mapping[str, Any]) -> str:
        keys = say_keys(state, key)
        found = self.voice.first(*keys, key) or keys[0]
        return self.voice.render(found, self.names(data, names))

    def utter(self, state: State[Any], data: Any, step: Step) -> None:
        """Take in what a step says and sends."""
        self.speak(state, data, step.say)
        self.take_in(state, data, step)

    def take_in(self, state: State[Any], data: Any, step: Step) -> None:
        """What a step sends, with the words that it has been given so far."""
        self.quotes = step.quotes or self.quotes
        self.worth = step.worth or self.worth
        content = step.send
        if content is None:
            return
        made = callable(content)
        if callable(content):
            content = content(Speak(_sentence(self.words), partial(self.worded, state, data)))
        if isinstance(content, Image | Video | Document):
            if content.caption:
                self.words = [*([] if made else self.words), content.caption]
            self.medium = msgspec.structs.replace(content, caption="")
        else:
            self.words = [] if made else self.words
            self.sent = content

    def say_shared(self, key: str, data: Any = None) -> None:
        self.words.append(self.text(key, data))

    def send(
        self,
        options: Sequence[Option] = (),
        *,
        state: str = "bot",
        page: int = 0,
        open_title: str = "",
        dress: Dress | None = None,
    ) -> None:
        labels = Labels(open_title or self.text("bot.list"), self.text("bot.more"))
        said = lay_out(
            _sentence(self.words),
            () if self.sent else options,
            seq=self.seq,
            state=state,
            page=page,
            labels=labels,
            medium=self.medium,
            dress=None if self.sent else dress,
        )
        # What takes the place of the question comes after words that it does not carry.
        said = (*said, self.sent) if self.sent else said
        self.ahead, self.content = said[:-1], said[-1] if said else None
        self.words = []
        self.medium = self.sent = None

    def send_words(self) -> None:
        """What was said and sent, with nothing to answer."""
        if any(self.words) or self.medium or self.sent:
            self.send()

    @property
    def is_quiet(self) -> bool:
        """Whether somebody of the firm answers by hand now."""
        return self.quiet_until > 0 and self.ctx.now.timestamp() < self.quiet_until


def _sentence(words: Sequence[str]) -> str:
    """Words in a row; on a line of their own where one has several lines."""
    said = [word for word in words if word]
    return ("\n" if any("\n" in word for word in said) else " ").join(said)
