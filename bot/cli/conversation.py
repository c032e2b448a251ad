"""`smarterbot conversation`: what was heard and said, as it can be read."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from bot.cli.output import AsJson, print_json, print_line, print_table
from bot.cli.session import Session, in_session
from bot.people.conversations import (
    KeptFile,
    Message,
    Story,
    Summary,
    Turn,
    Waiting,
    list_conversations,
    list_waiting,
    read_story,
)
from flows.dialog.events import Heard
from flows.dialog.transcript import written
from flows.values.ids import ConversationId, TenantId

app = typer.Typer(help="Conversations, as the journal holds them.", no_args_is_help=True)

SILENCE: Final = timedelta(minutes=10)
"""After so long the time is written again; our choice."""
LIST_MAX: Final = 1_000


@app.command("list")
def list_all(
    *,
    tenant: Annotated[UUID, typer.Option(help="Id of the tenant.")],
    most: Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX)] = 20,
    as_json: AsJson = False,
) -> None:
    """The latest conversations of a firm."""

    async def work(session: Session) -> list[Summary]:
        return await list_conversations(session.database, TenantId(str(tenant)), most=most)

    found = in_session(work)
    if as_json:
        print_json(found)
    else:
        print_table(
            ["id", "state", "turns", "last"],
            [
                (c.id, c.state or "(at rest)", str(c.turn), f"{c.changed_at:%Y-%m-%d %H:%M}")
                for c in found
            ],
            empty="no conversations yet",
        )


@app.command("waiting")
def waiting(
    *,
    tenant: Annotated[UUID, typer.Option(help="Id of the tenant.")],
    most: Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX)] = 20,
    as_json: AsJson = False,
) -> None:
    """Messages that found the 24-hour window closed and wait for the person to write."""

    async def work(session: Session) -> list[Waiting]:
        return await list_waiting(session.database, TenantId(str(tenant)), most=most)

    found = in_session(work)
    if as_json:
        print_json(found)
    else:
        print_table(
            ["conversation", "kind", "since", "until"],
            [
                (w.conversation, w.kind, f"{w.at:%Y-%m-%d %H:%M}", f"{w.until:%Y-%m-%d %H:%M}")
                for w in found
            ],
            empty="nothing waits",
        )


@app.command("show")
def show(
    conversation: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the conversation.")],
    *,
    tenant: Annotated[
        UUID | None, typer.Option(help="Id of its tenant, to look there only.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One conversation as a transcript: `>` the person, `<` the bot, `=` what came of it, `@` the firm's time."""

    async def work(session: Session) -> Story:
        return await read_story(
            session.database,
            ConversationId(str(conversation)),
            tenant=TenantId(str(tenant)) if tenant else None,
        )

    story = in_session(work)
    if as_json:
        print_json(story)
    else:
        for line in transcript(story):
            print_line(line)


def transcript(story: Story) -> Iterator[str]:
    """The lines of a conversation in the notation of the `.chat` files."""
    zone = ZoneInfo(story.zone)
    last: datetime | None = None
    for turn in story.turns:
        for message in turn.messages:
            if last is None or message.at - last > SILENCE:
                yield f"@ {message.at.astimezone(zone):%Y-%m-%d %H:%M}"
            last = message.at
            yield from _message_lines(message, zone)
        yield from _effects(turn)


def _message_lines(message: Message, zone: ZoneInfo) -> Iterator[str]:
    waits = message.parked_until
    notes = [
        *([f"parked until {waits.astimezone(zone):%Y-%m-%d %H:%M}"] if waits else []),
        *([f"as {message.left_as.name}"] if message.left_as else []),
        *([message.status] if message.status else []),
        *(f"refused: {fault}" for fault in message.faults),
    ]
    remark = f"  # {', '.join(notes)}" if notes else ""
    if isinstance(message.content, Heard):
        mark = ">" if message.direction == "in" else "~ phone |"
        changed = f"  # {message.content.changed}" if message.content.changed else ""
        yield f"{mark} {_heard(message.content, message.file)}{changed}{remark}"
    else:
        first, *rest = written(message.content).split("\n")
        yield f"< {first}{remark}"
        yield from rest


def _heard(heard: Heard, file: KeptFile | None) -> str:
    text = _one_line(heard.text)
    match heard.kind:
        case "text":
            return text
        case "tap" | "row":
            return f"[{text}]"
        case "media":
            kind = heard.media.kind if heard.media else "media"
            kept = f", {_size(file.size)}, {file.id}" if file else ""
            return f"({kind}{kept}) {text}".rstrip()
        case _:
            return f"({heard.kind}) {text}".rstrip()


def _size(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{-(-size // 1_000)} kB"


def _effects(turn: Turn) -> Iterator[str]:
    if turn.consents:
        yield "= consent " + ", ".join(
            f"{purpose} {'on' if granted else 'off'}" for purpose, granted in turn.consents
        )
    if turn.handoff is not None:
        yield f"= human {turn.handoff}".rstrip()
    if turn.failed:
        yield f"= failed {turn.failed}"


def _one_line(text: str) -> str:
    return text.replace("\n", "⏎")
