"""A post counts only if its sender signed these very bytes, now; whatever the headers hold, the answer is 400 or 401."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.standard_webhooks import Hook, HookError, read_secrets, sign, signed_headers, verify

# Standard Webhooks' own vector, reproduced by svix and standardwebhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = b"another key of thirty-two bytes!"
[KEY] = read_secrets(SECRET)


def headers(
    signature: str = SIGNATURE, *, id: str = ID, at: str = str(AT), name: str = "webhook"
) -> dict[str, str]:
    return {f"{name}-id": id, f"{name}-timestamp": at, f"{name}-signature": signature}


def refusal(given: dict[str, str], body: bytes = BODY, *, now_s: int = AT) -> tuple[int, str]:
    with pytest.raises(HookError) as refused:
        verify(body, given, (KEY,), now_s=now_s)
    return refused.value.status, refused.value.why


@pytest.mark.parametrize("name", ["webhook", "svix"])
def test_the_published_vector(name: str) -> None:
    assert sign(ID, AT, BODY, KEY) == SIGNATURE
    assert verify(BODY, headers(name=name), (KEY,), now_s=AT) == Hook(ID, AT, BODY)


def test_a_post_of_ours_is_the_published_vector() -> None:
    sent = signed_headers(ID, AT, BODY, (KEY,))

    assert sent == {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def test_a_post_of_ours_is_signed_with_each_secret() -> None:
    sent = signed_headers(ID, AT, BODY, (OTHER, KEY))

    assert sent["webhook-signature"] == f"{sign(ID, AT, BODY, OTHER)} {SIGNATURE}"
    for secret in (OTHER, KEY):
        assert verify(BODY, sent, (secret,), now_s=AT).id == ID


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, (400, "unsigned"), id="none"),
        pytest.param(headers(""), (400, "headers"), id="empty-signature"),
        pytest.param(headers(" "), (400, "headers"), id="blank-signature"),
        pytest.param(headers(id=""), (400, "headers"), id="no-id"),
        pytest.param(headers(id="msg.1"), (400, "headers"), id="id-with-a-stop"),
        pytest.param(headers(id="m" * 257), (400, "headers"), id="endless-id"),
        pytest.param(headers(at=""), (400, "headers"), id="no-time"),
        pytest.param(headers(at="-5"), (400, "headers"), id="negative-time"),
        pytest.param(headers(at="1e9"), (400, "headers"), id="odd-time"),
        pytest.param(headers(at="٣٣"), (400, "headers"), id="other-digits"),
        pytest.param(headers(at="9" * 500), (400, "headers"), id="endless-time"),
        pytest.param(headers(SIGNATURE[3:]), (400, "headers"), id="no-comma"),
        pytest.param(headers(f"{SIGNATURE},x"), (400, "headers"), id="two-commas"),
        pytest.param(headers(",,,"), (400, "headers"), id="only-commas"),
        pytest.param(headers(f"v1,{'A' * 5000}"), (400, "headers"), id="endless-signature"),
        pytest.param(headers(f"v2{SIGNATURE[2:]}"), (401, "signature"), id="v2-only"),
        pytest.param(headers(f"v1a{SIGNATURE[2:]}"), (401, "signature"), id="v1a-only"),
        pytest.param(headers("v1,¡no!"), (401, "signature"), id="non-base64"),
        pytest.param(headers("v1,\udcff\udcfe"), (401, "signature"), id="non-utf-8-header"),
        pytest.param(headers(SIGNATURE.replace("=", "")), (401, "signature"), id="no-padding"),
        pytest.param(headers(id="msg_other"), (401, "signature"), id="other-id"),
        pytest.param(headers(at=str(AT + 1)), (401, "signature"), id="other-time"),
    ],
)
def test_missing_empty_and_odd_headers(given: dict[str, str], expected: tuple[int, str]) -> None:
    assert refusal(given) == expected


@given(
    st.dictionaries(
        st.sampled_from(
            [f"{n}-{p}" for n in ("svix", "webhook") for p in ("id", "timestamp", "signature")]
        ),
        st.text(max_size=80) | st.sampled_from([ID, str(AT), "v1,AAAA", "v1,A, v1,B"]),
    ),
    st.binary(max_size=80),
)
def test_no_header_and_no_body_is_more_than_refused(given: dict[str, str], body: bytes) -> None:
    assert refusal(given, body)[0] in (400, 401)


@pytest.mark.parametrize("place", range(len(BODY)))
def test_a_body_changed_by_one_byte(place: int) -> None:
    changed = bytes((*BODY[:place], BODY[place] ^ 1, *BODY[place + 1 :]))

    assert refusal(headers(), changed) == (401, "signature")


def test_re_serialised_json() -> None:
    again = json.dumps(json.loads(BODY), separators=(",", ":")).encode()

    assert refusal(headers(), again) == (401, "signature")


def test_a_body_that_is_not_utf_8_is_proved_like_any_other() -> None:
    body = b"\xff\xfe\x00"

    assert verify(body, headers(sign(ID, AT, body, KEY)), (KEY,), now_s=AT).body == body
    assert refusal(headers(), body) == (401, "signature")


@pytest.mark.parametrize(("off_s", "taken"), [(299, True), (300, True), (301, False)])
@pytest.mark.parametrize("direction", [-1, 1], ids=["future", "past"])
def test_299_and_301_seconds_both_ways(off_s: int, taken: bool, direction: int) -> None:
    now_s = AT + direction * off_s
    if taken:
        assert verify(BODY, headers(), (KEY,), now_s=now_s).at == AT
    else:
        assert refusal(headers(), now_s=now_s) == (401, "other_time")


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(f"{SIGNATURE} {sign(ID, AT, BODY, OTHER)}", id="first-valid"),
        pytest.param(f"{sign(ID, AT, BODY, OTHER)} {SIGNATURE}", id="second-valid"),
        pytest.param(f"{SIGNATURE}, {sign(ID, AT, BODY, OTHER)}", id="supabase-first-valid"),
        pytest.param(f"{sign(ID, AT, BODY, OTHER)}, {SIGNATURE}", id="supabase-second-valid"),
        pytest.param(f"v1a,{SIGNATURE[3:]} {SIGNATURE}", id="beside-another-version"),
    ],
)
def test_two_signatures_first_or_second_valid(signature: str) -> None:
    assert verify(BODY, headers(signature), (KEY,), now_s=AT).id == ID


@pytest.mark.parametrize("signed_with", [KEY, OTHER], ids=["old", "new"])
def test_a_rotated_secret(signed_with: bytes) -> None:
    given = headers(sign(ID, AT, BODY, signed_with))

    assert verify(BODY, given, (KEY, OTHER), now_s=AT).id == ID
    with pytest.raises(HookError):
        verify(BODY, given, (), now_s=AT)


def test_supabase_s_form_of_a_secret_is_the_same_key() -> None:
    other = f"v1,whsec_{base64.b64encode(OTHER).decode()}"

    assert read_secrets(f"v1,{SECRET}") == (KEY,)
    assert read_secrets(f"{SECRET}|{other}") == (KEY, OTHER)
    assert read_secrets("") == ()


@pytest.mark.parametrize(
    "text", ["secret", "whsec_", "whsec_¡", "whsec_c2hvcnQ=", f"{SECRET}|", "v2,whsec_"]
)
def test_a_secret_that_is_none_is_named_without_being_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|shorter") as refused:
        read_secrets(text)

    assert "c2hvcnQ" not in str(refused.value)
