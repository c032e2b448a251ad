"""The screens of a form (a WhatsApp Flow): what it asks of us while a person fills it in, and what we answer. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct

from flows.dialog.ctx import Ctx

SUCCESS: Final = "SUCCESS"
"""The screen that closes a form. Source: Meta, "Flows: implementing endpoints"."""

ERRORS: Final = "errors"
"""The field of a screen's data that says what does not fit, by field: bind `error-messages` of its Form to it."""

ERROR_MAX: Final = 30
"""Characters of such a text. Source: Meta, "Flow JSON: components" (TextInput, error text)."""


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
    wrong: Mapping[str, str] = {}
    """Field -> what is wrong with it: one of the words that the form `says`."""


class Close(Struct, frozen=True):
    """The form is complete: `result` comes into the conversation as the form's answer."""

    result: Mapping[str, str | int | bool] = {}


Turns = Callable[[Turned, Ctx], Show | Close]
"""What follows on what a person did: a pure function, as a flow's step is."""


@dataclass(frozen=True, slots=True)
class Screens:
    """One form that our endpoint answers."""

    flow: str
    turns: Turns
    says: tuple[str, ...] = ()
    """What may be wrong with a field. Its words stand under `<flow>.form.<word>`."""

    def key(self, word: str) -> str:
        return f"{self.flow}.form.{word}"
