"""A server to test, for those who have none: complete, in a process of its own, gone with us."""

import http.client
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from bot.demo import NUMBER
from bot.embedded.process import Server, folder_lock
from bot.loadtest.values import HOST, Target
from bot.settings import child_environment
from handlers.whatsapp.webhook import PATH

ASK_S: Final = 2.0  # for an answer whether it is ready


@contextmanager
def own_server(throughput: int) -> Iterator[Target]:
    """A complete server in a process of its own, with embedded stores in a temporary folder and the demo firm.

    From the main thread only.

    Raises:
        EmbeddedError: it does not start.
    """
    port, graph_port, secret = _free_port(), _free_port(), secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="sb-load-") as name:
        folder = Path(name)
        environment = child_environment(
            {
                "SMARTERBOT_DATA": str(folder / "data"),
                "HOST": HOST,
                "PORT": str(port),
                "WHATSAPP_APP_SECRET": secret,
                "WHATSAPP_VERIFY_TOKEN": secrets.token_hex(16),
                "WHATSAPP_GRAPH_URL": f"http://{HOST}:{graph_port}",
                "LOG_FORMAT": "console",
                "LOG_LEVEL": "warning",
            }
        )
        with folder_lock(folder) as lock:
            server = Server(
                (sys.executable, "-m", "bot.demo", str(throughput)),
                name="the server under test",
                log=folder / "log",
                lock=lock,
                stop_signal=signal.SIGTERM,
                environment=environment,
            )
            try:
                server.wait_ready(lambda: _is_ready(port))
                yield Target(
                    callback_url=f"http://{HOST}:{port}{PATH}",
                    app_secret=secret,
                    number=msgspec.structs.replace(NUMBER, per_s=throughput),
                    graph_port=graph_port,
                    pid=server.pid,
                )
            finally:
                server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
