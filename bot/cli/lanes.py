"""`smarterbot lanes`: what waits, what is held, and what was set aside."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer

from bot.cli.output import USAGE_EXIT, AsJson, print_facts, print_json, print_line, print_table
from bot.cli.session import command_stores
from bot.clock import Clock
from bot.lanes import DeadLetter, Depths, Lanes, LaneView, Wire, install
from bot.settings import Settings, from_environment
from flows.values.ids import ItemId

LETTERS_MAX: Final = 1_000

app = typer.Typer(help="The queues: what waits, what is held, what was set aside.")

Answer = TypeVar("Answer")
Bodies = Annotated[
    bool, typer.Option("--bodies", help="Show contents, too: they are what people wrote.")
]
Item = Annotated[str, typer.Argument(metavar="ITEM", help="Id of a dead letter.")]


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """What waits and what is held, of each kind, and how much was set aside."""
    if context.invoked_subcommand is None:
        show()


@app.command("show")
def show(*, as_json: AsJson = False) -> None:
    """What waits and what is held, of each kind, and how much was set aside."""

    async def work(lanes: Lanes) -> Depths:
        return await lanes.depths()

    depths = _on_lanes(work)
    if as_json:
        print_json(depths)
        return
    print_table(
        ["kind", "waiting", "held", "oldest"],
        [
            (kind, str(depth.waiting), str(depth.leased), f"{depth.oldest_ms / 1000:.1f} s")
            for kind, depth in depths.kinds.items()
        ],
        empty="nothing has been queued yet",
    )
    print_line(f"journal lines: {depths.journal}")
    print_line(f"dead letters: {depths.dead}{' (smarterbot lanes dead)' if depths.dead else ''}")


@app.command("dead")
def dead(*, bodies: Bodies = False, as_json: AsJson = False) -> None:
    """Items that were set aside, the oldest first."""
    letters = _on_lanes(_letters)
    if as_json:
        print_json([_letter(letter, bodies=bodies) for letter in letters])
        return
    rows = [
        (
            letter.item,
            datetime.fromtimestamp(letter.at_ms / 1000, UTC).isoformat(timespec="seconds"),
            str(letter.tries),
            letter.why,
            *([_text(letter.body)] if bodies else []),
        )
        for letter in letters
    ]
    columns = ["item", "since", "tries", "why", *(["body"] if bodies else [])]
    print_table(columns, rows, empty="there are no dead letters")


@app.command("replay")
def replay(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Id of a dead letter.")] = "",
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All dead letters, the oldest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a dead letter back at the end of its lane: it is done again, so a message may reach its reader twice."""
    if every == bool(item):
        raise typer.BadParameter("name one ITEM, or say --all")

    async def work(lanes: Lanes) -> int:
        items = [letter.item for letter in await _letters(lanes)] if every else [ItemId(item)]
        return sum([await lanes.replay(one) for one in items])

    _done("replayed", _on_lanes(work), named=not every, as_json=as_json)


@app.command("forget")
def forget(item: Item, *, as_json: AsJson = False) -> None:
    """Drop a dead letter for good."""

    async def work(lanes: Lanes) -> int:
        return int(await lanes.forget(ItemId(item)))

    _done("forgotten", _on_lanes(work), named=True, as_json=as_json)


@app.command("inspect")
def inspect(
    lane: Annotated[str, typer.Argument(metavar="LANE", help="<kind>/<conversation>")],
    *,
    bodies: Bodies = False,
    as_json: AsJson = False,
) -> None:
    """One lane as it stands, without touching it."""

    async def work(lanes: Lanes) -> LaneView:
        return await lanes.inspect(lane)

    view = _on_lanes(work)
    if as_json:
        print_json(_lane(view, bodies=bodies))
        return
    due = "never" if view.due_in_ms is None else f"in {view.due_in_ms / 1000:.1f} s"
    print_facts(
        {
            "lane": view.lane,
            "shard": str(view.shard),
            "is": _standing(view),
            "due": due,
            "tries": str(view.tries),
            "waiting": str(view.waiting),
            "state": f"{len(view.state or b'')} bytes",
        }
    )
    print_table(
        ["item", "bytes", *(["body"] if bodies else [])],
        [(item, str(len(body)), *([_text(body)] if bodies else [])) for item, body in view.items],
        empty="no items",
    )


def _on_lanes(work: Callable[[Lanes], Awaitable[Answer]]) -> Answer:
    """Do a command's work on the lanes of the store that the settings name."""
    settings = from_environment()
    with command_stores(settings) as stores:
        return asyncio.run(_open(stores.redis_url, settings, work))


async def _open(url: str, settings: Settings, work: Callable[[Lanes], Awaitable[Answer]]) -> Answer:
    wire = await Wire.open(url, name="smarterbot:cli", replicas=settings.replicas_wait)
    try:
        shards = await install(wire, shards=settings.shards)
        return await work(Lanes(wire, shards=shards, clock=Clock()))
    finally:
        await wire.close()


async def _letters(lanes: Lanes) -> list[DeadLetter]:
    return await lanes.dead_letters(most=LETTERS_MAX)


def _done(what: str, count: int, *, named: bool, as_json: bool) -> None:
    if as_json:
        print_json({what: count})
    else:
        print_line(f"{what}: {count}")
    if named and not count:
        typer.echo("error: there is no such dead letter", err=True)
        raise typer.Exit(USAGE_EXIT)


def _standing(view: LaneView) -> str:
    if view.token > 0:
        return "held"
    if view.token < 0:
        return "in doubt" if view.token == -2 else "resting"
    return "idle" if view.due_in_ms is None else "free"


def _letter(letter: DeadLetter, *, bodies: bool) -> dict[str, object]:
    return {
        "item": letter.item,
        "lane": letter.lane,
        "at_ms": letter.at_ms,
        "tries": letter.tries,
        "why": letter.why,
        "bytes": len(letter.body),
        **({"body": _text(letter.body)} if bodies else {}),
    }


def _lane(view: LaneView, *, bodies: bool) -> dict[str, object]:
    return {
        "lane": view.lane,
        "shard": view.shard,
        "is": _standing(view),
        "due_in_ms": view.due_in_ms,
        "tries": view.tries,
        "waiting": view.waiting,
        "proved": view.proof is not None,
        "state_bytes": len(view.state or b""),
        "items": [
            {"item": item, "bytes": len(body), **({"body": _text(body)} if bodies else {})}
            for item, body in view.items
        ],
        **({"state": _text(view.state or b"")} if bodies else {}),
    }


def _text(body: bytes) -> str:
    return body.decode(errors="replace")
