"""A server that does with each connection exactly what a test says, byte by byte; and certificates for it."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def answer(body: bytes, *, status: int = 200, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Said\r\n%bContent-Length: %d\r\n\r\n%b" % (
        *(status, headers),
        *(len(body), body),
    )


class Peer:
    """One connection as the server sees it."""

    def __init__(
        self, server: "RawServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self.number = server.connections

    async def hears_head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def hears(self) -> bytes:
        """The body of one whole request."""
        head = await self.hears_head()
        length = _LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        self._server.requests.append((self.number, head + body))
        return body

    async def says(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answers(self, body: bytes = b"{}") -> None:
        """Hears a request and answers it."""
        await self.hears()
        await self.says(answer(body))

    async def closes(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def resets(self) -> None:
        """A reset, also if everything was read."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def is_left(self) -> None:
        """Until the client closes the connection."""
        while await self._reader.read(65_536):
            pass

    async def floods(self, piece: bytes) -> int:
        """Says the same until the client closes the connection; answers how many bytes that were."""
        said = 0
        try:
            while True:
                await self.says(piece)
                said += len(piece)
        except ConnectionError:
            return said

    def tls(self, what: str) -> object:
        return self._writer.get_extra_info(what)


Script = Callable[[Peer], Awaitable[object]]


@dataclass
class RawServer:
    url: str
    connections: int = 0
    open: int = 0
    open_max: int = 0
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    """With the number of the connection that each came over, from 1."""


@asynccontextmanager
async def raw_server(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Runs `script` for each connection and closes it after that; what is still running at the end is given up."""
    found = RawServer("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        found.connections += 1
        found.open += 1
        found.open_max = max(found.open_max, found.open)
        try:
            await script(Peer(found, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client has left
        except asyncio.CancelledError:
            pass  # the test has ended; asyncio's own server would complain
        finally:
            found.open -= 1
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    found.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ------------------------------------------------------------------ certificates


class Authority:
    """Signs certificates for tests."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        own = self._certificate(self._name, self._key, days=10).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        own = own.add_extension(self._usage, critical=True).add_extension(key_id, critical=False)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def server(self, host: str, *, days: int = 1) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for `host`; `days` < 0: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._certificate(subject, key, days=days)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(issuer_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{host}{days}.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
        )
