"""The client against the emulator's Graph, which was written from Meta's documents alone: both read them the same way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from flows.values.ids import Wamid
from handlers.whatsapp.client import Graph
from handlers.whatsapp.emulator.world import Person
from handlers.whatsapp.errors import GraphFault, MaybeSentError
from handlers.whatsapp.payload import receipt
from tests.handlers.whatsapp.emulator.stage import SOL, Stage, items, on_stage
from tests.handlers.whatsapp.graph_stub import graph_at


@dataclass
class Line:
    """A number of Sol's, and Ana, who has written to it."""

    graph: Graph
    stage: Stage
    ana: Person

    async def sends(self) -> str:
        body = {
            "messaging_product": "whatsapp",
            "to": f"+{self.ana.wa_id}",
            "type": "text",
            "text": {"body": "hola"},
        }
        accepted = await self.graph.post_message(SOL.id, SOL.token, msgspec.json.encode(body))
        return accepted.wamid

    async def statuses(self) -> set[tuple[object, object]]:
        statuses = await self.stage.hears_statuses()
        return {(status["id"], status["status"]) for status in statuses}


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with on_stage() as stage:
        ana = await stage.knows()
        with graph_at(stage.address) as graph:
            yield Line(graph, stage, ana)


async def test_what_was_accepted_has_the_id_that_its_statuses_have(line: Line) -> None:
    first, second = await line.sends(), await line.sends()

    statuses = await line.statuses()
    assert {(first, "sent"), (first, "delivered"), (second, "sent")} <= statuses


@pytest.mark.parametrize(
    ("fault", "code"),
    [("http_500", 131000), ("pair_limit", 131056), ("throughput", 130429), ("token_expired", 190)],
)
async def test_a_refusal_is_told_by_its_code_and_nothing_was_sent(
    line: Line, fault: str, code: int
) -> None:
    await line.stage.faults(**{fault: 1})

    with pytest.raises(GraphFault) as caught:
        await line.sends()

    assert caught.value.code == code
    assert await line.statuses() == set()
    assert await line.sends()


async def test_a_reset_leaves_a_doubt_and_the_statuses_settle_it(line: Line) -> None:
    await line.stage.faults(reset=1)

    with pytest.raises(MaybeSentError):
        await line.sends()

    assert "sent" in {what for _, what in await line.statuses()}
    assert await line.sends()


async def test_a_page_of_a_gateway_leaves_a_doubt(line: Line) -> None:
    await line.stage.faults(http_502=1)

    with pytest.raises(MaybeSentError):
        await line.sends()


async def test_a_token_that_is_none_is_refused(line: Line) -> None:
    with pytest.raises(GraphFault) as caught:
        await line.graph.get(SOL.id, "another")

    assert caught.value.fault.name == "token"


async def test_a_message_is_marked_as_read(line: Line) -> None:
    heard = await line.stage.writes(line.ana)
    [message] = items(await line.stage.hears(), "messages")
    assert message["id"] == heard

    await line.graph.post_receipt(SOL.id, SOL.token, receipt(Wamid(heard), typing=True))


async def test_what_the_api_knows_of_a_number(line: Line) -> None:
    number = await line.graph.get(f"{SOL.id}?fields=quality_rating", SOL.token)

    assert isinstance(number, dict)
    assert number["quality_rating"] == "GREEN"
