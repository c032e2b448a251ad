"""What msgspec says of a body, as a pointer and a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.api.problems import unreadable
from bot.api.values import CampaignRequest, SendRequest


def pointed(body: str, kind: type = SendRequest) -> tuple[int, list[str]]:
    try:
        msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        problem = unreadable(error).problem
        return problem.status, [one.pointer for one in problem.errors]
    raise AssertionError("it was accepted")


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        pytest.param("", 400, [], id="nothing"),
        pytest.param("{", 400, [], id="cut"),
        pytest.param('{"to": NaN}', 400, [], id="not-json"),
        pytest.param("[]", 422, [""], id="another-type"),
        pytest.param("{}", 422, ["/to"], id="field-missing"),
        pytest.param('{"to": 1}', 422, ["/to"], id="field-of-another-type"),
        pytest.param('{"to": {"a/b": 1}}', 422, ["/to/a~1b"], id="name-with-a-slash"),
        pytest.param('{"to": {"a~b": 1}}', 422, ["/to/a~0b"], id="name-with-a-tilde"),
        pytest.param('{"to": {"phone": 1}}', 422, ["/to/phone"], id="deeper"),
    ],
)
def test_the_place_is_named(body: str, status: int, pointers: list[str]) -> None:
    assert pointed(body) == (status, pointers)


def test_a_place_in_a_list_is_named() -> None:
    good = '{"to":{"bsuid":"CL.1"},"message":{"intent":"csat","name":"A","query":"1","day":"2026-11-28"}}'
    bad = good.replace("2026-11-28", "2026-02-30")

    assert pointed(f'{{"title":"T","recipients":[{good},{bad}]}}', CampaignRequest) == (
        422,
        ["/recipients/1/message/day"],
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
GOOD: dict[str, object] = {
    "to": {"phone": "+56961234567"},
    "message": {"intent": "csat", "name": "Ana", "query": "1", "day": "2026-11-28"},
    "ttl": 60,
}


@given(place=st.sampled_from(["", "to", "message", "ttl", "locale", "channel"]), value=JSON)
def test_whatever_stands_anywhere_is_taken_or_pointed_at(place: str, value: object) -> None:
    body = msgspec.json.encode({**GOOD, place: value} if place else value)

    try:
        msgspec.json.decode(body, type=SendRequest)
    except msgspec.DecodeError as error:
        problem = unreadable(error).problem
        assert (problem.status, len(problem.errors)) == (422, 1)
        assert problem.errors[0].pointer.startswith(f"/{place}" if place else ("", "/"))


@given(name=st.text(min_size=1).filter(lambda name: name not in SendRequest.__struct_fields__))
def test_a_field_that_nobody_knows_is_pointed_at_whatever_its_name(name: str) -> None:
    status, [pointer] = pointed(msgspec.json.encode({**GOOD, name: 1}).decode())

    assert (status, pointer) == (422, "/" + name.replace("~", "~0").replace("/", "~1"))
