"""A login through everything: asked for on the web, the code on the phone, a token that others can check."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import jwt
import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from bot.people.channels import Mark
from handlers.whatsapp.emulator.world import Message
from tests.dump import dumped, numbers_in
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

PERSON: Final = 7


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(
        stores, tmp_path, free_port, mark=Mark.PLATFORM, book=echo_book()
    ) as whole:
        await whole.people.join(PERSON)
        yield whole


async def post(whole: Whole, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with whole.http.post(f"{whole.server.address}{path}", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


def on_the_phone(whole: Whole) -> list[Message]:
    """What the platform's number sent to the person, oldest first."""
    person = whole.people.id_of(PERSON)
    assert person is not None
    return [one for one in whole.emulator.world.messages(NUMBER.id, person) if one.outbound]


async def arrives(whole: Whole, count: int = 1) -> str:
    """The code of the newest message."""

    async def came() -> bool:
        return whole.truth.taken >= count

    await until(came, what="the code")
    message = on_the_phone(whole)[-1]
    found = re.search(r"(?<!\d)\d{6}(?!\d)", repr(message.content))
    assert found is not None, message.content
    return found[0]


async def test_a_code_arrives_on_the_phone_and_opens_a_session(whole: Whole) -> None:
    status, asked = await post(whole, "/auth/otp", {"phone": f"+{phone(PERSON)}"})
    assert status == 202

    code = await arrives(whole)
    body = {"challenge_id": asked["challenge_id"], "code": code}
    status, login = await post(whole, "/auth/otp/verify", body)

    assert status == 200
    async with whole.http.get(f"{whole.server.address}/.well-known/openid-configuration") as answer:
        found = await answer.json()
    async with whole.http.get(found["jwks_uri"]) as answer:
        keys = jwt.PyJWKSet.from_dict(await answer.json())
    claims = jwt.decode(
        login["access_token"],
        keys[jwt.get_unverified_header(login["access_token"])["kid"]].key,
        algorithms=["ES256"],
        audience="authenticated",
        issuer=found["issuer"],
        options={"require": ["exp", "iat", "sub", "sid"]},
    )
    assert claims["sub"] == login["ugid"]
    assert (await post(whole, "/auth/otp/verify", body))[0] == 401
    status, after = await post(whole, "/auth/refresh", {"refresh_token": login["refresh_token"]})
    assert (status, after["ugid"]) == (200, login["ugid"])


async def test_a_code_is_an_authentication_template_in_the_person_s_language(whole: Whole) -> None:
    for n, locale in enumerate(("es_CL", "en", "arn"), start=1):
        assert (await post(whole, "/auth/otp", {"phone": phone(PERSON), "locale": locale}))[
            0
        ] == 202
        await arrives(whole, n)
        await whole.people.moves_time(300_000)

    sent = on_the_phone(whole)
    assert [message.price.category for message in sent if message.price] == ["authentication"] * 3
    assert ["verification code" in repr(message.content) for message in sent] == [
        False,
        True,
        False,
    ]
    assert all("código" in repr(sent[n].content) for n in (0, 2))


async def test_a_send_in_doubt_that_is_proved_is_not_repeated(whole: Whole) -> None:
    await whole.people.faults(reset=1)

    assert (await post(whole, "/auth/otp", {"phone": phone(PERSON)}))[0] == 202
    await arrives(whole)

    async def settled() -> bool:
        return await count(whole, "smarterbot_served_total", 'kind="wa",outcome="done"') == 1

    await until(settled, what="the end of the doubt")
    assert whole.truth.taken == 1
    assert (await whole.server.lanes.depths()).dead == 0


async def test_a_send_in_doubt_that_nothing_proves_is_not_repeated_either(whole: Whole) -> None:
    await whole.people.faults(reset=1, lose_statuses=-1)

    assert (await post(whole, "/auth/otp", {"phone": phone(PERSON)}))[0] == 202
    code = await arrives(whole)

    async def set_aside() -> bool:
        return (await whole.server.lanes.depths()).dead == 1

    await until(set_aside, what="the dead letter")
    assert whole.truth.taken == 1
    assert code not in numbers_in(dumped(whole.stores.redis_url))


async def test_a_code_leaves_no_trace(whole: Whole, capfd: pytest.CaptureFixture[str]) -> None:
    await whole.people.faults(http_500=1)
    _, asked = await post(whole, "/auth/otp", {"phone": phone(PERSON)})
    code = await arrives(whole)
    await post(whole, "/auth/otp/verify", {"challenge_id": asked["challenge_id"], "code": code})
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        metrics = await answer.text()

    async def journaled() -> bool:
        return (await whole.server.lanes.depths()).journal == 0

    await until(journaled, what="the journal")
    seen = capfd.readouterr()

    for told in (seen.out, seen.err, metrics, dumped(whole.stores.redis_url)):
        assert not {code, phone(PERSON)} & numbers_in(told)


async def test_a_code_that_does_not_arrive_disturbs_no_conversation(whole: Whole) -> None:
    await whole.people.faults(fail_with=131026)

    assert (await post(whole, "/auth/otp", {"phone": phone(PERSON)}))[0] == 202

    async def failed() -> bool:
        labels = 'detail="[a-z_]+",name="code_failed"'
        return await count(whole, "smarterbot_events_total", labels) == 1

    await until(failed, what="the failed status")
    assert (await whole.server.lanes.depths()).dead == 0


async def test_a_number_that_changes_ends_the_sessions(whole: Whole) -> None:
    _, asked = await post(whole, "/auth/otp", {"phone": phone(PERSON)})
    body = {"challenge_id": asked["challenge_id"], "code": await arrives(whole)}
    _, login = await post(whole, "/auth/otp/verify", body)
    system = {"type": "user_changed_number", "body": "…", "wa_id": phone(8)}
    message = {
        "id": "wamid.moved", "from": phone(PERSON), "timestamp": str(whole.server.clock.now_ms() // 1000),
        "type": "system", "system": system,
    }  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "56223456789", "phone_number_id": NUMBER.id},
        "messages": [message],
    }
    changes = [{"field": "messages", "value": value}]

    await whole.people.inject(
        {
            "object": "whatsapp_business_account",
            "entry": [{"id": NUMBER.waba_id, "changes": changes}],
        }
    )

    async def ended() -> bool:
        status, after = await post(whole, "/auth/refresh", {"refresh_token": token[0]})
        token[0] = after.get("refresh_token", token[0])
        return status == 401

    token = [login["refresh_token"]]
    await until(ended, what="the end of the session")


async def count(whole: Whole, name: str, labels: str) -> float:
    """A number of /metrics; 0 if it is not there."""
    async with whole.http.get(f"{whole.server.address}/metrics") as answer:
        found = re.search(rf"^{name}{{{labels}}} (\S+)$", await answer.text(), re.MULTILINE)
    return float(found[1]) if found else 0.0
