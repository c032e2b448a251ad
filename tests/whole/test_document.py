"""Every route does what the OpenAPI document says, whatever it is asked, and no firm reaches another's: schemathesis asks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bot.embedded.stores import Stores
from bot.people.channels import Mark
from tests.echo import echo_book
from tests.whole.api import Caller, a_rival, caller_of, order_update, price_list
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until
from tests.whole.test_login import PERSON, arrives, post

EXAMPLES: Final = 30
NOT_ALL: Final = positive_data_acceptance
"""A schema does not say all: which countries get codes, that 1.0 is no whole number of ours. The answer does (422)."""


@pytest.fixture
async def whole(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(
        stores, tmp_path, free_port, mark=Mark.PLATFORM, book=echo_book()
    ) as whole:
        await whole.people.join(PERSON)
        yield whole


@dataclass(frozen=True)
class Bearers:
    """Shown to each route that needs one."""

    address: str
    document: Mapping[str, Any]
    key: str
    token: str

    def ask_all(
        self, mode: GenerationMode, ask: Callable[[Case[Any], str, dict[str, str]], None]
    ) -> None:
        """Have `ask` ask each route many things; it gets the case, the address and the headers."""
        schema = schemathesis.openapi.from_dict(dict(self.document))
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            [needs] = [name for one in operation.definition.raw["security"] for name in one] or [""]
            shown = {"key": self.key, "token": self.token}.get(needs)
            headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
            _ask_operation(operation.as_strategy(generation_mode=mode), self.address, headers, ask)


def _ask_operation(
    cases: Any,
    address: str,
    headers: dict[str, str],
    ask: Callable[[Case[Any], str, dict[str, str]], None],
) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def each(case: Case[Any]) -> None:
        ask(case, address, headers)

    with contextlib.suppress(
        Unsatisfiable
    ):  # a route that takes nothing can be given nothing wrong
        each()


async def bearers_of(whole: Whole, api: Caller) -> Bearers:
    _, asked = await post(whole, "/auth/otp", {"phone": f"+{phone(PERSON)}"})
    code = await arrives(whole)
    given_code = {"challenge_id": asked["challenge_id"], "code": code}
    _, login = await post(whole, "/auth/otp/verify", given_code)
    async with whole.http.get(f"{whole.server.address}/openapi.json") as answer:
        document = await answer.json()
    return Bearers(whole.server.address, document, api.key, login["access_token"])


# The server works in the same process, and hypothesis takes its dice for a strategy's.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_every_route_answers_as_the_document_says(whole: Whole, mode: GenerationMode) -> None:
    api = await caller_of(whole.settings, whole.stores, whole.http, whole.server.address)
    bearers = await bearers_of(whole, api)
    asked = set()

    def ask(case: Case[Any], address: str, headers: dict[str, str]) -> None:
        asked.add(case.operation.label)
        case.call_and_validate(base_url=address, headers=headers, excluded_checks=[NOT_ALL])

    await asyncio.to_thread(bearers.ask_all, mode, ask)

    routes = {f"{m.upper()} {path}" for path, of in bearers.document["paths"].items() for m in of}
    assert len(routes) >= 18
    if mode is GenerationMode.POSITIVE:
        assert asked == routes


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_whatever_another_firm_asks_it_reaches_nothing(whole: Whole) -> None:
    ours = await caller_of(whole.settings, whole.stores, whole.http, whole.server.address)
    sent = await ours.send(
        PERSON, {"message": {**order_update(PERSON)["message"], "order": "S3CRET"}}
    )
    fate = await ours.fate_is(sent.body["id"], "delivered", "read", "refused")
    campaign = await ours.call(
        *("POST", "/v1/campaigns"),
        {"title": "S3CRET", "recipients": [price_list(n) for n in range(50, 60)], "per_minute": 60},
    )
    rival = await a_rival(whole)
    bearers = await bearers_of(whole, rival)
    [firm] = [one for one in whole.server.directory.firms() if one.name != "Carnes Luna"]
    ids = cycle([sent.body["id"], campaign.body["id"], fate["contact"], fate["channel"], firm.id])
    found: list[tuple[str, str]] = []
    statuses = set()

    def ask(case: Case[Any], address: str, headers: dict[str, str]) -> None:
        case.path_parameters = {name: next(ids) for name in case.path_parameters or {}}
        case.body = with_ids(case.body, ids)
        answer = case.call(base_url=address, headers=headers)
        statuses.add(answer.status_code)
        told = answer.content.decode()
        secrets = ("S3CRET", phone(50)) if answer.status_code < 300 else ("S3CRET",)
        asked = json.dumps(case.body) if isinstance(case.body, dict | list) else ""
        found.extend(
            (case.operation.label, secret)
            for secret in secrets
            if secret in told and secret not in asked
        )
        if answer.status_code < 300 and "{id}" in case.operation.path:
            found.append((case.operation.label, "answered"))

    await asyncio.to_thread(bearers.ask_all, GenerationMode.POSITIVE, ask)

    assert found == []
    assert {200, 202, 404, 422} <= statuses

    async def as_it_was() -> bool:
        progress = (await ours.call("GET", f"/v1/campaigns/{campaign.body['id']}")).body
        return progress["status"] in ("accepted", "running", "done")

    await until(as_it_was, within_s=10)


def with_ids(body: Any, ids: Iterator[str]) -> Any:
    """The same with other people's ids in place of each id."""
    if isinstance(body, dict):
        return {name: with_ids(value, ids) for name, value in body.items()}
    if isinstance(body, list):
        return [with_ids(value, ids) for value in body]
    if isinstance(body, str):
        with contextlib.suppress(ValueError):
            UUID(body)
            return next(ids)
    return body
