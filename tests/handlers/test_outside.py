"""URLs that others name never lead into our own network, whatever they look like and whatever the names resolve to."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from handlers.outside import Outside, RefusedUrlError, UnreachableError, is_outside
from tests.conftest import NetworkRefusedError

PUBLIC = "93.184.216.34"


class Names(AbstractResolver):
    """A name server that is told what to answer; several answers are given one after the other."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


async def ask(outside: Outside, url: str, *, hosts: tuple[str, ...] = ()) -> bytes:
    async with outside.request("GET", url, hosts=hosts, headers={}, within_s=5) as response:
        return await response.read()


async def refusal(url: str, *, hosts: tuple[str, ...] = (), names: Names | None = None) -> str:
    """Why a URL is refused; nothing is trusted."""
    async with Outside.open(resolver=names or Names()) as outside:
        with pytest.raises(RefusedUrlError) as refused:
            await ask(outside, url, hosts=hosts)
    return refused.value.why


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("0.0.0.0", id="this-host"),
        pytest.param("10.1.2.3", id="private-10"),
        pytest.param("100.64.0.1", id="carrier-grade-nat"),
        pytest.param("100.100.100.200", id="metadata-in-shared-space"),
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.255.255.254", id="loopback-far"),
        pytest.param("169.254.169.254", id="metadata"),
        pytest.param("172.31.255.255", id="private-172"),
        pytest.param("192.0.0.192", id="metadata-in-protocol-space"),
        pytest.param("192.168.0.1", id="private-192"),
        pytest.param("198.18.0.1", id="benchmark"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="unspecified-6"),
        pytest.param("::1", id="loopback-6"),
        pytest.param("::127.0.0.1", id="compatible-6"),
        pytest.param("::ffff:127.0.0.1", id="mapped-loopback"),
        pytest.param("::ffff:a9fe:a9fe", id="mapped-metadata"),
        pytest.param("64:ff9b::7f00:1", id="nat64-loopback"),
        pytest.param("64:ff9b:1::a9fe:a9fe", id="local-nat64"),
        pytest.param("2002:7f00:1::", id="6to4-loopback"),
        pytest.param("2001:0:4136:e378:8000:63bf:3fff:fdd2", id="teredo"),
        pytest.param("2001:db8::1", id="documentation-6"),
        pytest.param("fc00::1", id="unique-local"),
        pytest.param("fd00:ec2::254", id="metadata-6"),
        pytest.param("fe80::1%eth0", id="link-local-6"),
        pytest.param("ff02::1", id="multicast-6"),
        pytest.param("5f00::1", id="srv6"),
    ],
)
def test_an_address_that_may_be_ours_is_not_outside(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", PUBLIC, "172.32.0.1", "100.128.0.1", "2a03:2880:f003::1", "::ffff:1.1.1.1"],
)
def test_an_address_of_somebody_else_is_outside(address: str) -> None:
    assert is_outside(address)


# ------------------------------------------------------------------ URLs


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("http://files.example/a", "no_https", id="plain-http"),
        pytest.param("ftp://files.example/a", "no_https", id="ftp"),
        pytest.param("file:///etc/passwd", "unreadable_url", id="file"),
        pytest.param("gopher://127.0.0.1:6379/_FLUSHALL", "no_https", id="gopher"),
        pytest.param("//files.example/a", "unreadable_url", id="no-scheme"),
        pytest.param("https://", "unreadable_url", id="no-host"),
        pytest.param("https://files.example:99999/", "unreadable_url", id="no-port"),
        pytest.param("https://files.example:8443/a", "other_port", id="another-port"),
        pytest.param("https://files.example:22/a", "other_port", id="ssh"),
        pytest.param("https://169.254.169.254/latest/meta-data/", "address_as_host", id="metadata"),
        pytest.param("https://93.184.216.34/a", "address_as_host", id="public-address"),
        pytest.param("https://127.1/a", "address_as_host", id="short-address"),
        pytest.param("https://2130706433/a", "address_as_host", id="address-as-number"),
        pytest.param("https://0x7f000001/a", "address_as_host", id="address-in-hex"),
        pytest.param("https://0177.0.0.1/a", "address_as_host", id="address-in-octal"),
        pytest.param("https://127.0.0.1./a", "address_as_host", id="address-with-a-dot"),
        pytest.param("https://[::1]/a", "address_as_host", id="address-6"),
        pytest.param("https://[::ffff:169.254.169.254]/a", "address_as_host", id="mapped-address"),
        pytest.param("https://user:secret@files.example/a", "credentials", id="credentials"),
        pytest.param("https://files.example@169.254.169.254/a", "credentials", id="host-as-user"),
    ],
)
async def test_a_url_that_no_honest_service_gives_is_refused(url: str, why: str) -> None:
    names = Names(files_example=[[PUBLIC]])

    assert await refusal(url, names=names) == why
    assert names.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a",
        "https://lookaside.fbsbx.com.evil.example/a",
        "https://evil-lookaside.fbsbx.com/a",
        "https://fbcdn.net/a",
        "https://evilfbcdn.net/a",
        "https://evil.example/lookaside.fbsbx.com",
        "https://evil.example?.fbcdn.net",
        "https://evil.example#.fbcdn.net",
        r"https://evil.example\.fbcdn.net/a",
    ],
)
async def test_a_host_that_only_looks_like_an_allowed_one_is_refused(url: str) -> None:
    why = await refusal(url, hosts=("lookaside.fbsbx.com", "*.fbcdn.net"))

    assert why in {"other_host", "unreadable_url"}


@pytest.mark.parametrize(
    "host", ["lookaside.fbsbx.com", "LOOKASIDE.FBSBX.COM", "scontent.fbcdn.net"]
)
async def test_an_allowed_host_is_asked_for(host: str) -> None:
    names = Names()
    async with Outside.open(resolver=names) as outside:
        with pytest.raises(UnreachableError):
            await ask(outside, f"https://{host}/a", hosts=("lookaside.fbsbx.com", "*.fbcdn.net"))

    assert names.asked == [host.lower()]


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["::1"], id="loopback-6"),
        pytest.param([PUBLIC, "10.0.0.7"], id="one-of-two"),
        pytest.param(["::ffff:10.0.0.7"], id="mapped"),
    ],
)
async def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    names = Names(rebind_example=[addresses])

    assert await refusal("https://rebind.example/a", names=names) == "inside_address"


async def test_a_name_that_is_looked_at_as_public_cannot_turn_into_ours_before_the_connection() -> (
    None
):
    """DNS rebinding: public for the one who checks, private for the one who connects. They are one and the same."""
    names = Names(rebind_example=[[PUBLIC], ["127.0.0.1"]])
    async with Outside.open(resolver=names) as outside:
        # The tests' own guard stops the connection, and tells where it was going.
        with pytest.raises(NetworkRefusedError, match=f"connect {PUBLIC}"):
            await ask(outside, "https://rebind.example/a")

    assert names.asked == ["rebind.example"]


# ------------------------------------------------------------------ trusted origins, answers


@asynccontextmanager
async def somebody(answer: web.Response | None = None, *, slow: bool = False) -> AsyncIterator[str]:
    """A server on this machine; gives its address."""

    async def give(_request: web.Request) -> web.StreamResponse:
        if slow:
            await asyncio.sleep(30)
        return answer or web.Response(text="here")

    app = web.Application()
    app.router.add_get("/{path:.*}", give)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_what_the_operator_named_is_reached_even_here() -> None:
    async with somebody() as address, Outside.open(trusted=frozenset((address,))) as outside:
        assert await ask(outside, f"{address}/a", hosts=("lookaside.fbsbx.com",)) == b"here"


async def test_trust_in_one_port_of_this_machine_is_no_trust_in_another() -> None:
    async with (
        somebody() as address,
        somebody() as other,
        Outside.open(trusted=frozenset((address,))) as outside,
    ):
        with pytest.raises(RefusedUrlError):
            await ask(outside, f"{other}/a")


async def test_plain_http_is_trusted_on_this_machine_alone() -> None:
    names = Names(graph_example=[["127.0.0.1"]])
    async with Outside.open(
        trusted=frozenset(("http://graph.example",)), resolver=names
    ) as outside:
        with pytest.raises(RefusedUrlError, match="no_https"):
            await ask(outside, "http://graph.example/a")


async def test_a_redirect_is_not_followed() -> None:
    there = web.Response(status=302, headers={"Location": "http://169.254.169.254/"})
    async with somebody(there) as address, Outside.open(trusted=frozenset((address,))) as outside:
        with pytest.raises(RefusedUrlError, match="redirect"):
            await ask(outside, f"{address}/a")


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with (
        somebody(slow=True) as address,
        Outside.open(trusted=frozenset((address,))) as outside,
    ):
        with pytest.raises(UnreachableError) as gone:
            async with outside.request("GET", f"{address}/a", headers={}, within_s=0.05):
                pass
        assert gone.value.sent


async def test_nobody_there_is_told_apart_from_an_answer_that_broke_off(free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}"
    async with Outside.open(trusted=frozenset((address,))) as outside:
        with pytest.raises(UnreachableError) as gone:
            await ask(outside, f"{address}/a")
    assert not gone.value.sent
