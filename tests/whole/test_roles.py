"""What hears and what works may be processes of their own: the doorbell brings them together."""

import socket
from dataclasses import replace
from pathlib import Path

from bot.app import running
from bot.embedded.stores import Stores
from handlers.whatsapp.webhook import PATH
from tests.echo import echo_book
from tests.whole.conftest import whole_server
from tests.whole.people import until
from tests.whole.waits import SHORT


def another_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_what_a_web_process_hears_a_worker_answers(
    stores: Stores, tmp_path: Path, free_port: int
) -> None:
    async with whole_server(stores, tmp_path, free_port, book=echo_book(), role="worker") as whole:
        web = replace(whole.settings, port=another_port())
        async with running(web, stores, role="web", book=echo_book(), waits=SHORT) as hearing:
            whole.emulator.callback_url = f"{hearing.address}{PATH}"
            await whole.people.write(1, "pan")

            async def answered() -> bool:
                return whole.truth.taken == 1

            await until(answered, what="the answer")
            async with whole.http.post(f"{whole.server.address}{PATH}") as refused:
                status = refused.status

    assert status == 404
