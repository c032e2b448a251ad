"""The queue primitive: durable FIFOs with lease, fencing, retry and a dead-letter end, over Valkey or Redis."""

from bot.lanes.address import Address, StoreUrl
from bot.lanes.bell import Bell
from bot.lanes.errors import InstallError, LaneError, NotReplicatedError, StoreLostError
from bot.lanes.install import install
from bot.lanes.lanes import PREFIX, Lanes
from bot.lanes.line import Arg, Reply
from bot.lanes.listen import listen
from bot.lanes.script import Script
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
from bot.lanes.wire import Wire

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
    "NotReplicatedError",
    "Push",
    "Put",
    "Reply",
    "Script",
    "StoreLostError",
    "StoreUrl",
    "Taken",
    "Wire",
    "install",
    "listen",
]
