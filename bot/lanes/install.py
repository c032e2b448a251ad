"""The install record: how this store was laid out, once and for all."""

from typing import Final, cast

from bot.lanes.errors import InstallError
from bot.lanes.lanes import PREFIX
from bot.lanes.wire import Wire

SHARDS: Final = (
    64  # enough for one node; 256 keep a box small at millions of conversations on a cluster
)
PROTOCOL: Final = 2  # of keys, fields and scripts; another number cannot work beside this one
KEY: Final = f"{PREFIX}install"


async def install(wire: Wire, *, shards: int | None = None) -> int:
    """Record the number of shards and the protocol in a new store, or check them in one that has them.

    Args:
        shards: the number wanted; None takes what is recorded, and `SHARDS` for a new store.

    Returns:
        The number of shards of this store.

    Raises:
        InstallError: the store was laid out with another number, or speaks another protocol.
        StoreLostError: the store does not answer.
    """
    for name, value in (("shards", shards or SHARDS), ("protocol", PROTOCOL)):
        await wire.call("HSETNX", KEY, name, value)
    found = cast(list[bytes], await wire.call("HMGET", KEY, "shards", "protocol"))
    found_shards, found_protocol = map(int, found)
    if found_protocol != PROTOCOL:
        raise InstallError(
            f"the store speaks lanes protocol {found_protocol}, this program speaks {PROTOCOL}"
        )
    if shards is not None and found_shards != shards:
        raise InstallError(
            f"the store was installed with {found_shards} shards, this process asks for {shards}: "
            "the number of shards is fixed for the life of a store"
        )
    return found_shards
