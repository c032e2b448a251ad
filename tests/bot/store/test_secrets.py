"""A sealed secret opens for its own tenant and field alone."""

import base64

import pytest

from bot.store.errors import SealError
from bot.store.secrets import Key, SecretBox

OLD = Key(id="k1", secret=bytes(32))
NEW = Key(id="k2", secret=bytes([1] * 32))
BAKER = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
BUTCHER = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


def test_what_was_sealed_opens() -> None:
    box = SecretBox((OLD,))

    sealed = box.seal("EAAG-token-ñ", tenant=BAKER, field="token")

    assert box.open(sealed, tenant=BAKER, field="token") == "EAAG-token-ñ"
    assert "EAAG" not in sealed


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    box = SecretBox((OLD,))

    assert box.seal("x", tenant=BAKER, field="token") != box.seal("x", tenant=BAKER, field="token")


@pytest.mark.parametrize(
    ("tenant", "field"),
    [
        pytest.param(BUTCHER, "token", id="another-tenant"),
        pytest.param(BAKER, "password", id="another-field"),
    ],
)
def test_a_sealed_value_copied_elsewhere_does_not_open(tenant: str, field: str) -> None:
    box = SecretBox((OLD,))
    sealed = box.seal("x", tenant=BAKER, field="token")

    with pytest.raises(SealError):
        box.open(sealed, tenant=tenant, field=field)


def test_a_value_under_the_name_of_another_key_does_not_open() -> None:
    box = SecretBox((OLD, Key(id="k2", secret=OLD.secret)))
    sealed = box.seal("x", tenant=BAKER, field="token")

    with pytest.raises(SealError):
        box.open(sealed.replace("k1.", "k2.", 1), tenant=BAKER, field="token")


def test_every_changed_byte_is_noticed() -> None:
    box = SecretBox((OLD,))
    data = base64.urlsafe_b64decode(box.seal("x", tenant=BAKER, field="token").partition(".")[2])

    for place in range(len(data)):
        changed = bytes(byte ^ (place == n) for n, byte in enumerate(data))
        with pytest.raises(SealError):
            box.open(
                f"k1.{base64.urlsafe_b64encode(changed).decode()}", tenant=BAKER, field="token"
            )


@pytest.mark.parametrize("text", ["", "k1", "k1.", "k1.?", "k1.AAAA", "plain-token", "k1.ñ"])
def test_what_is_no_sealed_value_is_refused(text: str) -> None:
    with pytest.raises(SealError):
        SecretBox((OLD,)).open(text, tenant=BAKER, field="token")


def test_keys_are_replaced_without_a_gap() -> None:
    sealed = SecretBox((OLD,)).seal("x", tenant=BAKER, field="token")
    both = SecretBox((NEW, OLD))

    opened = both.open(sealed, tenant=BAKER, field="token")
    resealed = both.seal(opened, tenant=BAKER, field="token")

    assert not both.is_current(sealed)
    assert both.is_current(resealed)
    assert SecretBox((NEW,)).open(resealed, tenant=BAKER, field="token") == "x"
    with pytest.raises(SealError, match="SMARTERBOT_KEYS"):
        SecretBox((NEW,)).open(sealed, tenant=BAKER, field="token")


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(OLD)
