"""How commands reach Meta: with a channel's own token, and errors that say what to mend."""

import contextlib
from collections.abc import AsyncIterator

from bot.cli.session import Session
from bot.people.channels import SealedChannel, open_token
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphError, GraphFault
from handlers.whatsapp.form_api import FormApi
from handlers.whatsapp.http import Origin


class MetaError(Exception):
    """Meta refused, or cannot be reached."""


@contextlib.asynccontextmanager
async def meta_of(session: Session, sealed: SealedChannel) -> AsyncIterator[FormApi]:
    """The Graph API in the name of a channel.

    Raises:
        MetaError: whatever goes wrong with a call within.
    """
    token = open_token(session.box, sealed)
    if not token:
        raise MetaError(f"the number has no token: smarterbot channel token {sealed.channel.id}")
    origin = Origin(session.settings.graph_url)
    try:
        yield FormApi(Graph(origin, version=session.settings.graph_version), token)
    except GraphFault as fault:
        told = f": {fault.details}" if fault.details else ""
        raise MetaError(f"Meta refused it, {fault.fault.name} ({fault.code}){told}") from fault
    except GraphError as error:
        raise MetaError(f"WHATSAPP_GRAPH_URL: Meta cannot be reached: {error}") from error
    finally:
        origin.close()
