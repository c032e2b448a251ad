"""A number's place in the Cloud API: its webhooks, its registration with a two-step PIN.

Source: Meta, "Subscribed apps", "Registration", "Two-step verification" (v26.0).
"""

import secrets
from typing import Final, Protocol

from msgspec.json import encode

from handlers.ports import Channel
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphFault


class TooManyTriesError(Exception):
    """Meta would refuse it: a number was registered too often lately."""


PIN_MISMATCH: Final = 133005


class Pins(Protocol):
    """What is kept of the numbers' PINs, sealed."""

    async def choose_pin(self, channel: Channel, new: str) -> str:
        """The PIN of the number that we keep; if there is none, the new one is kept from now on, and answered.

        Two that ask at once are answered the same.
        """
        ...

    async def read_pin(self, channel: Channel) -> str:
        """The PIN that we keep; empty if there is none."""
        ...

    async def keep_pin(self, channel: Channel, pin: str) -> None:
        """An empty one forgets it."""
        ...

    async def count_try(self, channel: Channel) -> int:
        """Note that the number is about to be registered; answers how many tries are left after it.

        Raises:
            TooManyTriesError: it was tried too often lately; nothing is noted.
        """
        ...


async def subscribe(graph: Graph, channel: Channel, token: str) -> None:
    """Let the webhooks of the number's account come to the app of its token. Harmless to repeat.

    Raises:
        GraphError: as `Graph.request`.
    """
    await graph.request("POST", f"{channel.waba_id}/subscribed_apps", token)


async def register(
    graph: Graph, pins: Pins, channel: Channel, token: str, *, given: str = ""
) -> int:
    """Register the number; answers how many more tries Meta allows. Harmless to repeat: its PIN stays the same.

    Args:
        given: its PIN, where somebody knows it. Without one it is the one that it was registered with last, or a new one.

    Raises:
        GraphError, TooManyTriesError: it is not registered, or may not be.
    """
    before = await pins.read_pin(channel)
    left = await pins.count_try(channel)
    # Kept before Meta hears of it: a PIN that only Meta knows takes days to get rid of.
    if given:
        await pins.keep_pin(channel, given)
    pin = given or await pins.choose_pin(channel, f"{secrets.randbelow(10**6):06}")
    body = encode({"messaging_product": "whatsapp", "pin": pin})
    try:
        await graph.request("POST", f"{channel.phone_number_id}/register", token, body)
    except GraphFault as fault:
        # Any other refusal leaves it open what another process has come to with the same PIN.
        if fault.code == PIN_MISMATCH:
            await pins.keep_pin(channel, before if given else "")
        raise
    return left


async def deregister(graph: Graph, channel: Channel, token: str) -> None:
    """Take the number from the Cloud API. Raises as `subscribe`."""
    await graph.request("POST", f"{channel.phone_number_id}/deregister", token)
