"""Where the store is: what `REDIS_URL` says."""

import re
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
PORT_MAX: Final = 65_535

# Not urllib's: it reads one host, and a store may have several.
_URL = re.compile(
    r"(?P<scheme>[a-z]+(?:\+[a-z]+)?)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<options>[^#]*))?"
)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")

_SCHEMES: Final = (
    "the store's address must be redis://host, rediss://host, redis+sentinel://host/primary "
    "or unix:///path"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One server and who we are there. Its text carries no password."""

    host: str = ""
    port: int = PORT
    path: str = ""
    """Of a unix socket, in place of host and port."""
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    def at(self, host: str, port: int) -> Self:
        """Another server of the same store."""
        return replace(self, host=host, port=port, path="")

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """How to find the store."""

    servers: tuple[Address, ...]
    """The store itself; several are nodes of one cluster, any of which tells of the others."""
    sentinels: tuple[Address, ...] = ()
    """Those who know the primary; `servers` then holds one without a host: who we are there."""
    primary: str = ""
    """What the sentinels call it."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """One of

        - `redis://[user:password@]host[:port][,host[:port]…][/0]`, `rediss://…` (TLS)
        - `redis+sentinel://[user:password@]host[:port][,…]/primary[/0]`, `rediss+sentinel://…`; with
          `?sentinel_password=…&sentinel_username=…` when the sentinels ask for one
        - `unix://[user:password@]/path`

        Raises:
            ValueError: anything else; the message repeats no password.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ValueError(_SCHEMES)
        user, _, password = (parts["login"] or "").partition(":")
        path = parts["path"] or ""
        kind, _, way = parts["scheme"].partition("+")
        login = Address(tls=kind == "rediss", user=unquote(user), password=unquote(password))
        options = dict(parse_qsl(parts["options"] or "", keep_blank_values=True))
        if options.keys() - ({"sentinel_username", "sentinel_password"} if way else set()):
            raise ValueError("the store's address takes no such ?options")
        match kind, way:
            case "unix", "" if path.strip("/") and not parts["hosts"]:
                return cls((replace(login, path=unquote(path)),))
            case "redis" | "rediss", "" if parts["hosts"]:
                _only_database_0(path.strip("/"))
                return cls(_servers(login, parts["hosts"], PORT))
            case "redis" | "rediss", "sentinel" if parts["hosts"]:
                primary, _, database = path.strip("/").partition("/")
                _only_database_0(database)
                if not primary:
                    raise ValueError("sentinels need a name to look for: …/primary")
                theirs = Address(
                    tls=login.tls,
                    user=options.get("sentinel_username", ""),
                    password=options.get("sentinel_password", ""),
                )
                return cls(
                    (login,), _servers(theirs, parts["hosts"], SENTINEL_PORT), unquote(primary)
                )
            case _:
                raise ValueError(_SCHEMES)

    def __str__(self) -> str:
        return ",".join(map(str, self.sentinels or self.servers))


def _servers(login: Address, hosts: str, port: int) -> tuple[Address, ...]:
    found = [_HOST.fullmatch(host) for host in hosts.split(",")]
    if not all(found):
        raise ValueError("the store's hosts must be host:port, parted by commas")
    servers = tuple(login.at(m["v6"] or m["name"], int(m["port"] or port)) for m in found if m)
    if not all(0 < server.port <= PORT_MAX for server in servers):
        raise ValueError(f"the store's ports go from 1 to {PORT_MAX}")
    return servers


def _only_database_0(database: str) -> None:
    if database not in ("", "0"):
        raise ValueError("the lanes live in database 0: a cluster has no other")
