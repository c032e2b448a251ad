"""`smarterbot lanes`: an operator sees what waits, and mends what was set aside, without reading people's messages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from bot.clock import Clock
from bot.lanes import Lanes, Taken, Wire, install
from flows.values.ids import ItemId
from tests.bot.cli.conftest import Command

T = TypeVar("T")

WORDS = "una consulta privada"


def on_lanes(url: str, work: Callable[[Lanes], Awaitable[T]]) -> T:
    async def run() -> T:
        wire = await Wire.open(url)
        lanes = Lanes(wire, shards=await install(wire), clock=Clock())
        result = await work(lanes)
        await wire.close()
        return result

    return asyncio.run(run())


async def bury(lanes: Lanes, conversation: str) -> ItemId:
    lane = f"wa/{conversation}"
    taken = await lanes.put(lanes.shard(conversation), lane, WORDS.encode(), take=True)
    assert isinstance(taken, Taken)
    await lanes.bury(taken, why="undeliverable")
    return taken.id()


@pytest.fixture
def dead(clean_valkey: str) -> list[ItemId]:
    """Two dead letters."""

    async def work(lanes: Lanes) -> list[ItemId]:
        return [await bury(lanes, "c1"), await bury(lanes, "c2")]

    return on_lanes(clean_valkey, work)


def test_a_new_store_has_nothing_to_show(smarterbot: Command) -> None:
    answer = smarterbot("lanes")

    assert answer.code == 0
    assert "nothing has been queued yet" in answer.out
    assert "dead letters: 0" in answer.out


def test_what_waits_is_shown_by_kind(
    dead: list[ItemId], smarterbot: Command, clean_valkey: str
) -> None:
    async def put(lanes: Lanes) -> None:
        await lanes.put(lanes.shard("c1"), "conv/c1", b"hello")

    on_lanes(clean_valkey, put)

    for_people, for_programs = smarterbot("lanes"), smarterbot("lanes", "show", "--json").json

    assert "conv" in for_people.out
    assert "dead letters: 2 (smarterbot lanes dead)" in for_people.out
    assert for_programs["dead"] == 2
    assert for_programs["kinds"]["conv"]["waiting"] == 1
    assert for_programs["kinds"]["wa"]["waiting"] == 0


def test_dead_letters_are_listed_without_what_people_wrote(
    dead: list[ItemId], smarterbot: Command
) -> None:
    for_people, for_programs = smarterbot("lanes", "dead"), smarterbot("lanes", "dead", "--json")

    assert all(item in for_people.out for item in dead)
    assert "undeliverable" in for_people.out
    assert {letter["item"] for letter in for_programs.json} == set(dead)
    assert WORDS not in for_people.out + for_programs.out


@pytest.mark.parametrize("words", [["dead"], ["dead", "--json"]], ids=["people", "programs"])
def test_contents_are_shown_to_whoever_asks(
    dead: list[ItemId], smarterbot: Command, words: list[str]
) -> None:
    assert WORDS in smarterbot("lanes", *words, "--bodies").out


def test_a_dead_letter_is_replayed_once(dead: list[ItemId], smarterbot: Command) -> None:
    first, second = (smarterbot("lanes", "replay", dead[0]) for _ in range(2))

    assert (first.code, first.out) == (0, "replayed: 1\n")
    assert (second.code, second.error) == (2, "error: there is no such dead letter\n")
    assert [x["item"] for x in smarterbot("lanes", "dead", "--json").json] == [dead[1]]
    lane = smarterbot("lanes", "inspect", "wa/c1", "--json")
    assert (lane.json["is"], lane.json["waiting"]) == ("free", 1)
    assert WORDS not in lane.out


def test_all_dead_letters_are_replayed_at_once(dead: list[ItemId], smarterbot: Command) -> None:
    assert smarterbot("lanes", "replay", "--all", "--json").json == {"replayed": 2}
    assert smarterbot("lanes", "replay", "--all", "--json").json == {"replayed": 0}


@pytest.mark.parametrize("words", [[], ["wa/c1:1-0", "--all"]], ids=["neither", "both"])
def test_replaying_wants_one_item_or_all(smarterbot: Command, words: list[str]) -> None:
    assert smarterbot("lanes", "replay", *words).code == 2


def test_a_dead_letter_is_forgotten(dead: list[ItemId], smarterbot: Command) -> None:
    assert smarterbot("lanes", "forget", dead[0], "--json").json == {"forgotten": 1}
    assert smarterbot("lanes", "forget", dead[0]).code == 2


def test_a_lane_is_looked_at(dead: list[ItemId], smarterbot: Command) -> None:
    smarterbot("lanes", "replay", dead[0])

    plain, with_bodies = (
        smarterbot("lanes", "inspect", "wa/c1"),
        smarterbot("lanes", "inspect", "wa/c1", "--bodies"),
    )

    assert "free" in plain.out
    assert WORDS not in plain.out
    assert WORDS in with_bodies.out


def test_what_is_no_lane_is_told(smarterbot: Command) -> None:
    answer = smarterbot("lanes", "inspect", "nonsense")

    assert (answer.code, answer.error) == (1, "error: a lane is named <kind>/<conversation>\n")
