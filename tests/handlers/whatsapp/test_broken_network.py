"""A request that was given up must not arrive later, when the network is whole again: by then it was sent once more.

The network is one of this test's own (a namespace), so that it can be cut.
"""

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
from typing import Final

import pytest

from handlers.whatsapp.errors import MaybeSentError
from handlers.whatsapp.http import Origin, header_lines
from tests.handlers.whatsapp.raw_server import Peer, raw_server

ALONE: Final = ("unshare", "--user", "--map-root-user", "--net")

GIVEN_UP_S: Final = 1.5
CUT_S: Final = 2.0
LATE_S: Final = 4.0  # the kernel's pauses double: the next attempt comes at 3.2 s

SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 0x1


def test_a_request_that_was_given_up_does_not_arrive_later() -> None:
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are forbidden here")

    ran = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.handlers.whatsapp.test_broken_network"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    # The second is the control: a kernel that is not told to give up delivers it.
    assert ran.stdout.split() == ["1", "2"]


async def _keeps_answering(peer: Peer) -> None:
    while True:
        await peer.answers()


async def _main() -> None:
    """Prints how many of two requests arrived, the second sent while the network was cut: with and without a limit."""
    _set_loopback(up=True)
    headers = header_lines({"Authorization": "Bearer secret"})
    async with raw_server(_keeps_answering) as ours, raw_server(_keeps_answering) as control:
        origins = [
            Origin(ours.url, total_s=GIVEN_UP_S, unheard_s=1.0),
            Origin(control.url, total_s=GIVEN_UP_S, unheard_s=60.0),
        ]
        for origin in origins:
            await origin.request("POST", "/messages", headers, b"{}")

        _set_loopback(up=False)
        given_up = await asyncio.gather(
            *(origin.request("POST", "/messages", headers, b"{}") for origin in origins),
            return_exceptions=True,
        )
        assert all(isinstance(error, MaybeSentError) for error in given_up), given_up
        await asyncio.sleep(CUT_S - GIVEN_UP_S)
        _set_loopback(up=True)
        await asyncio.sleep(LATE_S)

        sys.stdout.write(f"{len(ours.requests)} {len(control.requests)}\n")
        for origin in origins:
            origin.close()


def _set_loopback(*, up: bool) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP if up else 0))


if __name__ == "__main__":
    asyncio.run(_main())
