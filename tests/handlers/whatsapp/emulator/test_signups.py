"""The emulator plays Facebook's side of Embedded Signup: codes that live for half a minute, and numbers as they are after it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.whatsapp.emulator.accounts import APP_ID, REGISTRATIONS_MAX, WRONG_PINS_MAX
from handlers.whatsapp.emulator.signups import BUSINESS, CODE_MS, PIN
from handlers.whatsapp.emulator.world import NumberId
from tests.handlers.whatsapp.emulator.stage import SECRET, SOL, Answer, Stage, on_stage, text

APP = f"{APP_ID}|{SECRET}"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage() as stage:
        yield stage


async def asks(
    stage: Stage, method: str, path: str, token: str, body: object = None, **query: str
) -> Answer:
    url = f"{stage.address}/v26.0/{path}"
    headers = {"Authorization": f"Bearer {token}"}
    async with stage.http.request(method, url, json=body, params=query, headers=headers) as answer:
        return Answer(answer.status, await answer.json())


async def finishes(stage: Stage, kind: str, **other: str) -> Any:
    """What somebody chooses in the window, and what Meta tells the bot of it."""
    told: Any = await stage.control("POST", "signups", {"kind": kind, **other})
    hook = await stage.hears()
    entry: Any = hook["entry"]
    assert entry[0]["id"] == BUSINESS
    assert entry[0]["changes"][0]["field"] == "account_update"
    assert entry[0]["changes"][0]["value"]["event"] == "PARTNER_ADDED"
    assert entry[0]["changes"][0]["value"]["waba_info"]["waba_id"] == told["data"]["waba_id"]
    return told


async def exchanges(stage: Stage, code: str, secret: str = SECRET) -> Answer:
    query = {"client_id": APP_ID, "client_secret": secret, "code": code}
    return await asks(stage, "GET", "oauth/access_token", APP, **query)


async def connects(stage: Stage, kind: str) -> tuple[str, str, str]:
    """(token, account, number) of a number that came through the window."""
    told = await finishes(stage, kind)
    token = str((await exchanges(stage, told["code"])).body["access_token"])
    waba = told["data"]["waba_id"]
    listed: Any = (await asks(stage, "GET", f"{waba}/phone_numbers", token)).body
    return token, waba, listed["data"][0]["id"]


async def registers(stage: Stage, number: str, token: str, pin: str) -> int:
    """0, or the error's code."""
    body = {"messaging_product": "whatsapp", "pin": pin}
    answer = await asks(stage, "POST", f"{number}/register", token, body)
    return 0 if answer.status == 200 else int(str(answer.error["code"]))


async def test_a_code_is_worth_one_token_for_half_a_minute(stage: Stage) -> None:
    told, late = await finishes(stage, "new"), await finishes(stage, "new")

    assert (await exchanges(stage, told["code"], "another")).error["code"] == 1
    assert (await exchanges(stage, told["code"])).status == 200
    assert (await exchanges(stage, told["code"])).error["error_subcode"] == 36009
    await stage.shift(CODE_MS)
    assert (await exchanges(stage, late["code"])).error["error_subcode"] == 36007
    assert (await exchanges(stage, "x")).error["code"] == 100


async def test_a_token_tells_what_it_may_touch_and_touches_nothing_else(stage: Stage) -> None:
    token, waba, number = await connects(stage, "new")
    other = await connects(stage, "new")

    told: Any = (await asks(stage, "GET", "debug_token", APP, input_token=token)).body["data"]

    assert (told["app_id"], told["is_valid"], told["type"]) == (APP_ID, True, "SYSTEM_USER")
    assert {tuple(each["target_ids"]) for each in told["granular_scopes"]} == {(waba,)}
    for path in (f"{other[1]}/phone_numbers", f"{SOL.waba_id}/phone_numbers", other[2], SOL.id):
        assert (await asks(stage, "GET", path, token)).error["code"] == 190
    owner: Any = (await asks(stage, "GET", waba, token, fields="owner_business_info")).body
    assert owner["owner_business_info"]["id"].isdigit()
    assert (await asks(stage, "GET", number, token)).body["platform_type"] == "NOT_APPLICABLE"


async def test_a_number_is_heard_once_it_is_subscribed_and_sends_once_it_is_registered(
    stage: Stage,
) -> None:
    token, waba, number = await connects(stage, "new")
    person = await stage.person()
    path = f"chats/{number}/{person.id}/messages"
    await stage.control("POST", path, {"type": "text", "body": "¿hay alguien?"})
    await stage.emulator.settled()
    assert stage.hooks.empty()

    await asks(stage, "POST", f"{waba}/subscribed_apps", token)
    await stage.control("POST", path, {"type": "text", "body": "hola"})
    assert "hola" in str(await stage.hears())

    line = stage.emulator.world.numbers[NumberId(number)]
    assert (await stage.sends(text(), number=line)).error["code"] == 133010
    assert await registers(stage, number, token, "123456") == 0
    assert (await stage.sends(text(), number=line)).status == 200


async def test_a_pin_that_somebody_set_must_be_known(stage: Stage) -> None:
    token, _, number = await connects(stage, "two_step")

    wrong = [await registers(stage, number, token, "000000") for _ in range(WRONG_PINS_MAX + 1)]

    assert wrong == [133005] * WRONG_PINS_MAX + [133008]
    assert await registers(stage, number, token, PIN) == 0


async def test_a_number_is_registered_ten_times_in_three_days(stage: Stage) -> None:
    token, _, number = await connects(stage, "new")

    codes = [await registers(stage, number, token, "123456") for _ in range(REGISTRATIONS_MAX + 1)]

    assert codes == [0] * REGISTRATIONS_MAX + [133016]


async def test_a_number_that_is_not_proved_is_not_registered(stage: Stage) -> None:
    token, _, number = await connects(stage, "unverified")

    assert await registers(stage, number, token, "123456") == 133006


async def test_any_refusal_can_be_asked_for(stage: Stage) -> None:
    token, _, number = await connects(stage, "new")
    await stage.control("PUT", f"accounts/{number}", {"register_fails_with": 133015})

    assert await registers(stage, number, token, "123456") == 133015


async def test_a_number_of_the_app_is_registered_and_gives_its_data_once(stage: Stage) -> None:
    token, _, number = await connects(stage, "app")

    assert (await asks(stage, "GET", number, token)).body["is_on_biz_app"] is True
    assert await registers(stage, number, token, "123456") == 100
    for kind in ("smb_app_state_sync", "history"):
        body = {"messaging_product": "whatsapp", "sync_type": kind}
        statuses = [
            (await asks(stage, "POST", f"{number}/smb_app_data", token, body)).status
            for _ in range(2)
        ]
        assert statuses == [200, 400]
