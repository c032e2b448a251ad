"""A link opens what it was signed for, until its time is over, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.media.links import Links
from bot.store.secrets import Key
from flows.values.ids import FileId, TenantId

TENANT = TenantId("6f9619ff-8b86-4011-b42d-00c04fc964ff")
FILE = FileId("7d444840-9dc0-41d1-b245-5ffdce74fad2")
OLD = Key(id="k1", secret=bytes(range(32)))
NEW = Key(id="k2", secret=bytes(range(1, 33)))
NOW = 1_795_286_400

LINKS = Links((OLD,))
TOKEN = LINKS.sign(TENANT, FILE, until_s=NOW + 900)


def test_a_link_opens_until_the_last_second() -> None:
    assert LINKS.open(TOKEN, now_s=NOW + 899) == (TENANT, FILE)
    assert LINKS.open(TOKEN, now_s=NOW + 900) is None


def test_a_link_fits_into_a_url_as_it_is() -> None:
    assert set(TOKEN) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(TOKEN) == 71


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii", categories=["L", "N"]))
def test_a_link_with_one_letter_changed_opens_nothing(at: int, letter: str) -> None:
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]

    # The last letter holds bits that stand for nothing: base64 has 426 of them for 424.
    assert LINKS.open(changed, now_s=NOW) is None or changed[:-1] == TOKEN[:-1]


@given(st.text(max_size=200))
def test_anything_else_opens_nothing(token: str) -> None:
    assert LINKS.open(token, now_s=NOW) is None


@pytest.mark.parametrize("cut", [1, 16, 40, 70])
def test_a_part_of_a_link_opens_nothing(cut: int) -> None:
    assert LINKS.open(TOKEN[:cut], now_s=NOW) is None


def test_a_link_opens_while_keys_are_replaced() -> None:
    rotated = Links((NEW, OLD))

    assert rotated.open(TOKEN, now_s=NOW) == (TENANT, FILE)
    assert LINKS.open(rotated.sign(TENANT, FILE, until_s=NOW + 900), now_s=NOW) is None
    assert Links((NEW,)).open(TOKEN, now_s=NOW) is None
