"""Whatever Meta signs: the codec never raises, and a good item among garbage is always heard."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.whatsapp.codec import FIELDS, parse
from handlers.whatsapp.loose import MalformedError
from handlers.whatsapp.webhook_values import Webhook
from tests.handlers.whatsapp.bodies import (
    change,
    contact,
    entry,
    envelope,
    message,
    status,
    value,
    webhook,
)

# The same examples in each run, and no stopwatch: the machine may be busy.
steadily = settings(deadline=None, derandomize=True)

KINDS = [
    "text", "image", "audio", "location", "contacts", "interactive", "button", "order", "reaction", "system",
    "request_welcome", "unsupported", "edit", "hologram",
]  # fmt: skip

WORDS = [
    "id", "type", "from", "from_user_id", "timestamp", "text", "body", "context", "contacts", "wa_id", "user_id",
    "profile", "name", "phones", "origin", "contact_request", "interactive", "button_reply", "nfm_reply",
    "response_json", "system", "errors", "code", "status", "failed", "pricing", "metadata", "messages", "group_id",
]  # fmt: skip

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([*WORDS, *KINDS, "56987654321", "CL.1", "1795392000"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)
"""JSON with Meta's own words in wrong places; also NaN, lone surrogates and NULs."""

messages = st.one_of(
    anything,
    st.builds(lambda kind, body: message(kind, body), st.sampled_from(KINDS), anything),
    st.builds(
        lambda over: message() | over, st.dictionaries(st.sampled_from(WORDS), anything, max_size=3)
    ),
)
statuses = st.one_of(
    anything,
    st.builds(
        lambda over: status() | over,
        st.dictionaries(st.sampled_from(list(status())), anything, max_size=3),
    ),
)
changes = st.one_of(
    anything,
    st.builds(change, anything, st.sampled_from(["messages", *FIELDS]) | anything),
    st.builds(
        change,
        st.builds(lambda over: value() | over, st.dictionaries(st.sampled_from(WORDS), anything)),
    ),
)


def can_be_kept(found: Webhook) -> bool:
    """All of it can be written as JSON and read back, and holds no NUL."""
    line = msgspec.json.encode(found)
    return (
        b"\\u0000" not in line.replace(b"\\\\", b"")
        and msgspec.json.decode(line, type=Webhook) == found
    )


@steadily
@given(st.binary() | st.text().map(str.encode))
def test_bytes_are_read_or_malformed(body: bytes) -> None:
    try:
        found = parse(body)
    except MalformedError:
        return

    assert found.messages == []


@steadily
@given(anything)
def test_any_json_is_read(garbage: object) -> None:
    assert can_be_kept(parse(json.dumps(garbage).encode()))


@steadily
@given(st.lists(st.builds(entry, changes) | anything, max_size=3))
def test_any_envelope_is_read(entries: list[object]) -> None:
    assert can_be_kept(parse(envelope(*entries)))


@steadily
@given(
    st.lists(messages, max_size=4), st.lists(messages, max_size=4), st.lists(anything, max_size=3)
)
def test_a_good_message_among_garbage_is_heard(
    before: list[object], after: list[object], contacts: list[object]
) -> None:
    good = message(id="wamid.GOOD", from_user_id="CL.GOOD")
    alone = parse(webhook(messages=[good], contacts=[contact(user_id="CL.GOOD")]))
    batch = [*before, good, *after]

    found = parse(webhook(messages=batch, contacts=[*contacts, contact(user_id="CL.GOOD")]))

    assert can_be_kept(found)
    assert alone.messages[0] in found.messages


@steadily
@given(st.lists(statuses, max_size=4), st.lists(statuses, max_size=4))
def test_a_good_status_among_garbage_is_seen(before: list[object], after: list[object]) -> None:
    good = status(id="wamid.GOOD")
    alone = parse(webhook(statuses=[good]))

    found = parse(webhook(statuses=[*before, good, *after]))

    assert can_be_kept(found)
    assert alone.statuses[0] in found.statuses


@steadily
@given(st.lists(changes, max_size=3), st.lists(changes, max_size=3))
def test_a_good_change_among_garbage_is_read(before: list[object], after: list[object]) -> None:
    good = change(value(messages=[message(id="wamid.GOOD")]))

    found = parse(envelope(entry(*before), entry(*before, good, *after), *after))

    assert "wamid.GOOD" in [message.heard.id for message in found.messages]


@settings(steadily, max_examples=50)
@given(st.integers(1, 1000), st.data())
def test_order_is_kept(size: int, data: st.DataObject) -> None:
    holes = data.draw(st.sets(st.integers(0, size - 1), max_size=5))
    batch = [None if n in holes else message(id=f"m{n}") for n in range(size)]

    found = parse(webhook(messages=batch))

    assert [m.heard.id for m in found.messages] == [f"m{n}" for n in range(size) if n not in holes]
