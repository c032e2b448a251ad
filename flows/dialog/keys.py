"""Where the texts of flows stand in a catalogue."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from flows.dialog.flow import Flow, State
from flows.dialog.texts import FORMAT_KEYS

BOT_KEYS: Final = (
    "bot.already_done", "bot.audio", "bot.both", "bot.both_done", "bot.busy", "bot.cancelled",
    "bot.edited", "bot.file_lost", "bot.file_refused", "bot.form_expired",
    "bot.help", "bot.human", "bot.image", "bot.list", "bot.many_tries", "bot.more",
    "bot.none", "bot.none_done", "bot.nothing_to_cancel", "bot.notices", "bot.notices_done", "bot.notices_only",
    "bot.old_button", "bot.over", "bot.oversized", "bot.recorded", "bot.start", "bot.sticker", "bot.stopped", "bot.talk",
    "bot.trouble", "bot.unsupported", "choice.tap", "choice.unknown", "choice.unknown.2",
)  # fmt: skip
"""Texts that the language itself speaks, in every flow."""


def needed(flows: Iterable[Flow[Any, Any]]) -> Iterator[tuple[str, ...]]:
    """The texts that flows cannot do without, each as the keys that may hold it, the proper one first."""
    for key in (*BOT_KEYS, *FORMAT_KEYS):
        yield (key,)
    for flow in flows:
        for state in flow.states.values():
            if state.kind in ("asks", "picks"):
                yield (f"{state.key}.ask",)
                for choice in state.choices:
                    yield title_keys(state, choice.id, choice.group)
            if state.refuses:
                yield say_keys(state, "refused")
        if flow.away is not None:
            yield (f"{flow.name}.returned",)
        for screens in flow.forms.values():
            for word in screens.says:
                yield (screens.key(word),)


def say_keys(state: State[Any], key: str) -> tuple[str, ...]:
    """Where words of a state may stand: its own, its flow's."""
    return (f"{state.key}.{key}", f"{state.flow.name}.{key}")


def alone_keys(state: State[Any], key: str) -> tuple[str, ...]:
    """Where the words may stand that are said in place of others where nobody sits at a desk."""
    return tuple(f"{each}.no_desk" for each in (*say_keys(state, key), key))


def sorry_keys(state: State[Any], stem: str) -> tuple[str, ...]:
    """Where the words for an answer not understood may stand: the state's, the flow's, the shared ones."""
    own = stem.removeprefix("bot.")
    return (f"{state.key}.{own}", f"{state.flow.name}.{own}", stem)


def title_keys(state: State[Any], id: str, group: str = "") -> tuple[str, ...]:
    """Where the title of an option may stand: the state's, the Enum's, the flow's."""
    shared = (f"{group}.{id}",) if group else ()
    return (f"{state.key}.{id}", *shared, f"{state.flow.name}.{id}")
