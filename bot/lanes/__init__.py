"""The queue primitive: durable FIFOs with lease, fencing, retry and a dead-letter end, over Valkey or Redis."""

from bot.lanes.bell import Bell
from bot.lanes.errors import InstallError, LaneError, StoreLostError
from bot.lanes.install import install
from bot.lanes.lanes import PREFIX, Lanes
from bot.lanes.values import (
    Claimed,
    Committed,
    DeadLetter,
    Depth,
    Depths,
    LaneView,
    Lease,
    Push,
    Put,
    Taken,
)
from bot.lanes.wire import Address, Arg, Reply, Script, Wire, listen

__all__ = [
    "PREFIX",
    "Address",
    "Arg",
    "Bell",
    "Claimed",
    "Committed",
    "DeadLetter",
    "Depth",
    "Depths",
    "InstallError",
    "LaneError",
    "LaneView",
    "Lanes",
    "Lease",
    "Push",
    "Put",
    "Reply",
    "Script",
    "StoreLostError",
    "Taken",
    "Wire",
    "install",
    "listen",
]
