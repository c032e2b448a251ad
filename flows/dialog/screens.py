"""The screens of a form (a WhatsApp Flow): what it asks of us while a person fills it in, and what we answer. Pure."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from msgspec import Struct

from flows.dialog.ctx import Ctx

SUCCESS: Final = "SUCCESS"
"""The screen that closes a form. Source: Meta, "Flows: implementing endpoints"."""


class Turned(Struct, frozen=True):
    """A person opened a form, went on to the next screen, or back."""

    screen: str
    """Where they are; empty when the form opens."""
    how: Literal["opened", "sent", "back"]
    data: Mapping[str, object]
    """What the screen sent: from outside, so each value is read by its own parser."""


class Show(Struct, frozen=True):
    """The screen that follows, with its data; the same screen again to say what does not fit."""

    screen: str
    data: Mapping[str, object] = {}


class Close(Struct, frozen=True):
    """The form is complete: `result` comes into the conversation as the form's answer."""

    result: Mapping[str, str | int | bool] = {}


Screens = Callable[[Turned, Ctx], Show | Close]
"""One form: a pure function, as a flow's step is."""
