"""No test reaches beyond this machine, whichever way it tries."""

import asyncio
import socket

import pytest

from tests.conftest import NetworkRefusedError

SOMEBODY_ELSE = "192.0.2.1"  # RFC 5737: nobody's


def test_an_address_elsewhere_is_refused() -> None:
    with socket.socket() as connection, pytest.raises(NetworkRefusedError):
        connection.connect((SOMEBODY_ELSE, 80))


def test_a_name_elsewhere_is_not_even_looked_up() -> None:
    with pytest.raises(NetworkRefusedError):
        socket.getaddrinfo("graph.facebook.com", 443)


async def test_asyncio_is_refused_too() -> None:
    with pytest.raises(NetworkRefusedError):
        await asyncio.open_connection(SOMEBODY_ELSE, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_answers(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1]), timeout=5).close()
