"""What commands need to speak to Meta for a number: the number, its token and the Graph API."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bot.cli.output import FieldError
from bot.cli.session import Session
from bot.people.channels import list_channels, open_token
from bot.people.errors import PeopleError, UnknownError
from handlers.ports import Channel
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.http import Origin


class RefusedError(PeopleError):
    """Meta refused what a command asked for, or was not reached."""


@dataclass(frozen=True, slots=True)
class Line:
    channel: Channel
    token: str = field(repr=False)


async def find_lines(session: Session, channel: UUID | None) -> Sequence[Line]:
    """The number with this id, or all of them.

    Raises:
        UnknownError: there is none with this id.
    """
    found = [
        Line(sealed.channel, open_token(session.box, sealed))
        for sealed in await list_channels(session.database)
        if channel is None or sealed.channel.id == str(channel)
    ]
    if channel is not None and not found:
        raise UnknownError("there is no channel with this id")
    return found


async def find_line(session: Session, channel: UUID) -> Line:
    """The number with this id, which has a token.

    Raises:
        UnknownError: there is none with this id.
        FieldError: it has no token.
    """
    [line] = await find_lines(session, channel)
    if not line.token:
        raise FieldError(f"this number has no token yet: smarterbot channel token {channel}")
    return line


@contextlib.asynccontextmanager
async def graph_of(session: Session) -> AsyncIterator[Graph]:
    """The Graph API that the settings name."""
    origin = Origin(session.settings.graph_url)
    try:
        yield Graph(origin, version=session.settings.graph_version)
    finally:
        origin.close()


def refusal_of(error: GraphError) -> str:
    """What Meta answered, in one line."""
    if isinstance(error, GraphFault):
        told = f": {error.details}" if error.details else ""
        return f"Meta refuses it ({error.code}, {error.fault.name}){told}"
    return f"Meta was not reached: {error}"
