"""How commands reach Meta: a number, its own token, and errors that say what to mend."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bot.cli.session import Session
from bot.people.channels import SealedChannel, list_channels, open_token
from bot.people.errors import UnknownError
from handlers.ports import Channel
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.form_api import FormApi
from handlers.whatsapp.http import Origin


class MetaError(Exception):
    """Meta refused, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Line:
    """A number, and the token that it is spoken for with."""

    channel: Channel
    token: str = field(repr=False)
    """Empty when none was given."""


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
        raise UnknownError("there is no channel with this id: smarterbot channel list")
    return found


async def find_line(session: Session, channel: UUID) -> Line:
    """The number with this id, which has a token.

    Raises:
        UnknownError: there is none with this id.
        MetaError: it has no token.
    """
    [line] = await find_lines(session, channel)
    if not line.token:
        raise _no_token(line.channel)
    return line


@contextlib.asynccontextmanager
async def graph_of(session: Session) -> AsyncIterator[Graph]:
    """The Graph API that the settings name.

    Raises:
        MetaError: whatever goes wrong with a call within.
    """
    origin = Origin(session.settings.graph_url)
    try:
        yield Graph(origin, version=session.settings.graph_version)
    except GraphError as error:
        raise MetaError(refusal_of(error)) from error
    finally:
        origin.close()


@contextlib.asynccontextmanager
async def meta_of(session: Session, sealed: SealedChannel) -> AsyncIterator[FormApi]:
    """Forms at Meta, in the name of a channel. Raises as `graph_of`."""
    token = open_token(session.box, sealed)
    if not token:
        raise _no_token(sealed.channel)
    async with graph_of(session) as graph:
        yield FormApi(graph, token)


def refusal_of(error: GraphError) -> str:
    """What Meta answered, in one line."""
    if isinstance(error, GraphFault):
        told = f": {error.details}" if error.details else ""
        return f"Meta refused it, {error.fault.name} ({error.code}){told}"
    return f"WHATSAPP_GRAPH_URL: Meta cannot be reached: {error}"


def _no_token(channel: Channel) -> MetaError:
    return MetaError(f"the number has no token: smarterbot channel token {channel.id}")
