"""What the server is told by its environment: read once, checked as a whole."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import urlsplit

import phonenumbers

from bot.lanes import StoreUrl
from bot.media.blobs import check_media_url
from bot.store.keys import read_keys
from bot.store.secrets import Key
from handlers.standard_webhooks import read_secrets

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

SHARDS_MAX: Final = 4096
REPLICAS_MAX: Final = 5
PORT_MAX: Final = 65535
STATEMENT_CACHE_MAX: Final = 10_000
KNOCK_DAYS_MAX: Final = 365
CODES_MAX: Final = 100_000_000
DOLLARS_MAX: Final = 1_000_000
PROXIES_MAX: Final = 8
_TOKEN: Final = "WHATSAPP_TOKEN"  # noqa: S105 - the name of a variable
_SECRET: Final = "SYSTEM_SECRET"  # noqa: S105 - the name of a variable


class SettingsError(Exception):
    """One or more variables are wrong; each line names one and says how to mend it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """One field for each variable; `VARIABLES` says what it means."""

    database_url: str
    """Empty: the embedded stores are used."""
    database_owner_url: str
    db_statement_cache: int
    redis_url: str
    """Empty: the embedded stores are used. Set if and only if `database_url` is."""
    host: str
    port: int
    data: Path
    keys: tuple[Key, ...]
    """The first seals, all open. Empty with the embedded stores: the data folder holds one (`bot.store.keys`)."""
    app_secret: str
    verify_token: str
    graph_url: str
    graph_version: str
    chat_url: str
    meta_app_id: str
    """Empty, like `meta_config_id`: firms cannot connect numbers of theirs here."""
    meta_config_id: str
    meta_sdk_url: str
    taxpayer_url: str
    """Empty, like `taxpayer_key`: no register is asked what it knows of a RUT."""
    taxpayer_key: str
    knock_days: int
    shards: int
    replicas_wait: int
    public_url: str
    media_url: str
    """Empty: a folder below `data`."""
    otp_countries: tuple[str, ...]
    """Upper-case ISO 3166 codes."""
    otp_per_ip_hour: int
    otp_per_tenant_day: int
    otp_per_day: int
    otp_usd_per_day: float
    otp_usd_per_code: float
    trusted_proxies: int
    auth_origins: tuple[str, ...]
    place_header: str
    clerk_webhook_secrets: tuple[bytes, ...]
    """Empty: Clerk's webhook is not heard."""
    clerk_secret_key: str
    """Empty: nothing is written back to Clerk."""
    clerk_issuer: str
    """Empty: no Clerk."""
    clerk_parties: tuple[str, ...]
    clerk_api_url: str
    supabase_hook_secrets: tuple[bytes, ...]
    """Empty: Supabase's hook is not heard."""
    supabase_codes_per_hour: int
    system_origins: tuple[str, ...]
    log_format: LogFormat
    log_level: LogLevel

    @property
    def address(self) -> str:
        """Where the server answers; what PUBLIC_URL says, if it says anything."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def embedded(self) -> bool:
        """Whether we run our own stores."""
        return not self.database_url


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. This table is the source of the README's."""

    name: str
    default: str
    meaning: str
    read: Callable[[str], object]
    """Raises ValueError that says what is expected."""
    field: str
    """Of `Settings`."""


def _text(value: str) -> str:
    return value


def _digits(value: str) -> str:
    if value and not (value.isascii() and value.isdigit()):
        raise ValueError("digits are expected, as Meta's pages show them")
    return value


def _url(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value and urlsplit(value).scheme not in schemes:
            raise ValueError(
                f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)} is expected"
            )
        return value

    return read


def _store_url(value: str) -> str:
    if value:
        StoreUrl.parse(value)
    return value


def _web_url(value: str) -> str:
    if not urlsplit(value).netloc:
        raise ValueError("a URL with a host is expected, e.g. https://graph.facebook.com")
    return _url("https", "http")(value).rstrip("/")


def _optional_web_url(value: str) -> str:
    return _web_url(value) if value else value


def _register_url(value: str) -> str:
    """A RUT may be a person's: it leaves this machine over https alone."""
    read = _optional_web_url(value)
    parts = urlsplit(read)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ValueError("https:// is expected; http:// only on this machine")
    if "@" in parts.netloc:
        raise ValueError("a URL without a user is expected: the key has a variable of its own")
    return read


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("one line of ASCII is expected, for it is sent as a header")
    return value


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise ValueError(f"a whole number from {low} to {high} is expected")
        return int(value)

    return read


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected")
        return value

    return read


def _origins(value: str) -> tuple[str, ...]:
    found = tuple(filter(None, (part.strip() for part in value.split(","))))
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in ("https", "http") or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError(
                "origins without a path are expected, e.g. https://app.example,https://b.example"
            )
    return found


def _dollars(value: str) -> float:
    try:
        dollars = float(value)
    except ValueError:
        dollars = -1.0
    if not 0 < dollars <= DOLLARS_MAX:
        raise ValueError(f"dollars above 0, up to {DOLLARS_MAX:,}, are expected, e.g. 0.02")
    return dollars


def _countries(value: str) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(code.strip().upper() for code in value.split(",")))
    if unknown := [code for code in codes if code not in phonenumbers.SUPPORTED_REGIONS]:
        raise ValueError(f"countries by their two letters are expected, e.g. CL,PE: {unknown[0]!r}")
    return codes


def _version(value: str) -> str:
    major, dot, minor = value.removeprefix("v").partition(".")
    if not (value.startswith("v") and dot and major.isdigit() and minor.isdigit()):
        raise ValueError("a version such as v26.0 is expected")
    return value


VARIABLES: Final = (
    Variable(
        "DATABASE_URL",
        "",
        "PostgreSQL 16 or newer, as the role the server runs as. Unset: an embedded PostgreSQL",
        _url("postgresql", "postgres"),
        "database_url",
    ),
    Variable(
        "DATABASE_OWNER_URL",
        "",
        "PostgreSQL as the owner of the schema, for migrations only. Unset: DATABASE_URL",
        _url("postgresql", "postgres"),
        "database_owner_url",
    ),
    Variable(
        "DB_STATEMENT_CACHE",
        "100",
        "Prepared statements a connection keeps; 0 behind a transaction pooler (PgBouncer)",
        _number(0, STATEMENT_CACHE_MAX),
        "db_statement_cache",
    ),
    Variable(
        "REDIS_URL",
        "",
        "Valkey, or Redis 7 or newer: `redis://host:port`, `rediss://` (TLS) or `unix:///path`; a cluster by one "
        "or more of its nodes, `redis://host:port,host:port`; the primary that Sentinels name, "
        "`redis+sentinel://host:port,host:port/name`. Unset: an embedded Valkey",
        _store_url,
        "redis_url",
    ),
    Variable("HOST", "127.0.0.1", "Address to listen on; 0.0.0.0 in a container", _text, "host"),
    Variable("PORT", "8000", "Port to listen on", _number(1, PORT_MAX), "port"),
    Variable(
        "SMARTERBOT_DATA", ".data", "Folder of the embedded stores and their key, of files, and of files under way", Path, "data"
    ),
    Variable(
        "SMARTERBOT_KEYS",
        "",
        "Keys that seal the tenants' secrets: id:base64[,id2:base64…], 32 bytes each, the first one is current. "
        "Needed with DATABASE_URL; with the embedded stores one is made in the data folder",
        read_keys,
        "keys",
    ),
    Variable(
        "WHATSAPP_APP_SECRET", "", "App secret of the Meta app: proves who calls the webhook", _text, "app_secret"
    ),
    Variable(
        "WHATSAPP_VERIFY_TOKEN", "", "The word that Meta repeats when the webhook is registered", _text, "verify_token"
    ),
    Variable(
        "WHATSAPP_GRAPH_URL", "https://graph.facebook.com", "Base of the Graph API; the emulator's in development",
        _web_url, "graph_url",
    ),
    Variable("WHATSAPP_GRAPH_VERSION", "v26.0", "Version of the Graph API", _version, "graph_version"),
    Variable(
        "WHATSAPP_CHAT_URL", "https://wa.me", "Where links that open a chat lead; the emulator's page in development",
        _web_url, "chat_url",
    ),
    Variable(
        "META_APP_ID", "", "Id of the Meta app: with META_CONFIG_ID, firms connect their own numbers on `/connect`",
        _digits, "meta_app_id",
    ),
    Variable(
        "META_CONFIG_ID",
        "",
        "Id of the app's Facebook Login for Business configuration of the variation WhatsApp Embedded Signup (v4)",
        _digits,
        "meta_config_id",
    ),
    Variable(
        "META_SDK_URL", "https://connect.facebook.net/es_LA/sdk.js",
        "Meta's JavaScript SDK for `/connect`; the emulator's in development", _web_url, "meta_sdk_url",
    ),
    Variable(
        "TAXPAYER_URL",
        "",
        "A register that is asked for the name behind a RUT at sign-up (a POST, as Khipu's `tax-situation`); it is a "
        "suggestion, waited for at most 6 s. http:// only on this machine",
        _register_url,
        "taxpayer_url",
    ),
    Variable("TAXPAYER_KEY", "", "Its key, sent as `x-api-key`", _header, "taxpayer_key"),
    Variable(
        "WHATSAPP_KNOCK_DAYS",
        "7",
        "An answer that finds the 24-hour window closed waits for the person. They are asked to tap for it, by the "
        "template `retomar_atencion`, at most once in so many days; 0 never asks",
        _number(0, KNOCK_DAYS_MAX),
        "knock_days",
    ),
    Variable(
        "SMARTERBOT_SHARDS",
        "64",
        "Shards of the lanes, fixed at install: a store that was used with another number is refused",
        _number(1, SHARDS_MAX),
        "shards",
    ),
    Variable(
        "SMARTERBOT_REPLICAS_WAIT",
        "0",
        "Replicas of the store that must have a message before Meta is told that we took it, and before an answer is "
        "sent; 0 trusts the primary alone",
        _number(0, REPLICAS_MAX),
        "replicas_wait",
    ),
    Variable(
        "PUBLIC_URL",
        "",
        "Address of this server as people's telephones reach it, e.g. https://bot.example: links to files and the "
        "endpoints of forms begin with it. "
        "Unset: http://HOST:PORT",
        _optional_web_url,
        "public_url",
    ),
    Variable(
        "MEDIA_URL",
        "",
        "Where files are kept: file:///folder (of a disk that all replicas share), or "
        "s3://KEY:SECRET@bucket/prefix?endpoint=https://…&region=… Unset: the folder `media` in SMARTERBOT_DATA",
        check_media_url,
        "media_url",
    ),
    Variable(
        "OTP_COUNTRIES",
        "CL",
        "Countries whose numbers get login codes, by their two letters: CL,PE",
        _countries,
        "otp_countries",
    ),
    Variable(
        "OTP_PER_IP_HOUR", "10", "Codes that one address (of IPv6: one /64) may ask for at once; as many come back in an hour",
        _number(1, CODES_MAX), "otp_per_ip_hour",
    ),
    Variable(
        "OTP_PER_TENANT_DAY", "500", "Codes that are sent in a day (UTC) for logins at one firm",
        _number(1, CODES_MAX), "otp_per_tenant_day",
    ),
    Variable(
        "OTP_PER_DAY", "2000", "Codes that are sent in a day (UTC) in all", _number(1, CODES_MAX), "otp_per_day"
    ),
    Variable(
        "OTP_USD_PER_DAY", "40", "Dollars that codes may cost in a day (UTC)", _dollars, "otp_usd_per_day"
    ),
    Variable(
        "OTP_USD_PER_CODE", "0.02", "Dollars that Meta takes for a code: its rate of authentication messages",
        _dollars, "otp_usd_per_code",
    ),
    Variable(
        "TRUSTED_PROXIES",
        "0",
        "Proxies of ours in front of the server: a client's address is read that many places from the end of "
        "`X-Forwarded-For`",
        _number(0, PROXIES_MAX),
        "trusted_proxies",
    ),
    Variable(
        "AUTH_ORIGINS",
        "",
        "Web applications whose pages may ask `/auth/…` for logins, by origin: https://app.example,https://b.example",
        _origins,
        "auth_origins",
    ),
    Variable(
        "PLACE_HEADER",
        "",
        "Header in which the proxy in front tells a browser's city, e.g. `CF-IPCity`: shown to who confirms a login; "
        "read only with `TRUSTED_PROXIES`",
        _text,
        "place_header",
    ),
    Variable(
        "CLERK_ISSUER",
        "",
        "Address of the Clerk instance, as its session tokens name it: https://clerk.example.com. Unset: no Clerk",
        _optional_web_url,
        "clerk_issuer",
    ),
    Variable(
        "CLERK_AUTHORIZED_PARTIES",
        "",
        "Origins of the pages whose Clerk sessions count: https://app.example.com[,https://…]",
        _origins,
        "clerk_parties",
    ),
    Variable(
        "CLERK_WEBHOOK_SIGNING_SECRET",
        "",
        "Of the endpoint `/webhooks/clerk`: whsec_…; two, with a vertical bar between, while one is being replaced",
        read_secrets,
        "clerk_webhook_secrets",
    ),
    Variable(
        "CLERK_SECRET_KEY", "", "Of the Clerk instance: writes a person's UGID into `external_id`", _text, "clerk_secret_key"
    ),
    Variable("CLERK_API_URL", "https://api.clerk.com", "Base of Clerk's Backend API", _web_url, "clerk_api_url"),
    Variable(
        "SUPABASE_SEND_SMS_HOOK_SECRET",
        "",
        "Of Supabase Auth's send-SMS hook: v1,whsec_…; two, with a vertical bar between, while one is being replaced",
        read_secrets,
        "supabase_hook_secrets",
    ),
    Variable(
        "SUPABASE_CODES_PER_HOUR",
        "300",
        "Most codes of Supabase Auth that we carry; each costs what Meta takes for an authentication message",
        _number(1, 1_000_000),
        "supabase_codes_per_hour",
    ),
    Variable(
        "SYSTEM_ORIGINS",
        "",
        "Firms' systems (Odoo, Chatwoot, n8n) that lie in our own network, by origin: https://odoo.internal,…; any other "
        "must have a public address. http:// only on this machine",
        _origins,
        "system_origins",
    ),
    Variable("LOG_FORMAT", "json", "json, or console for people", _one_of(*get_args(LogFormat)), "log_format"),
    Variable("LOG_LEVEL", "info", "debug, info, warning or error", _one_of(*get_args(LogLevel)), "log_level"),
)  # fmt: skip


def configuration_table() -> str:
    """`VARIABLES` as the README shows it."""
    rows = [
        f"| `{variable.name}` | {f'`{variable.default}`' if variable.default else ''} | {variable.meaning} |"
        for variable in VARIABLES
    ]
    return "\n".join(["| name | default | meaning |", "|---|---|---|", *rows])


def from_environment() -> Settings:
    """Read the process's environment; called once, at the start.

    Raises:
        SettingsError: see `read_settings`.
    """
    return read_settings(os.environ)  # noqa: TID251 - this is the one place


def whatsapp_token() -> str:
    """The Graph token that a command is given; no setting of the server, which keeps tokens sealed."""
    return os.environ.get(_TOKEN, "").strip()  # noqa: TID251 - this is the one place


def system_secret() -> str:
    """The secret of a firm's system that a command is given, as `whatsapp_token`."""
    return os.environ.get(_SECRET, "").strip()  # noqa: TID251 - this is the one place


def child_environment(values: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server that we start beside us: ours without our own variables, and `values`."""
    ours = {variable.name for variable in VARIABLES} | {_TOKEN, _SECRET}
    rest = {name: value for name, value in os.environ.items() if name not in ours}  # noqa: TID251 - this is the one place
    return rest | dict(values)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Check all variables and answer them as one value. An empty variable counts as unset.

    Raises:
        SettingsError: naming every variable that is wrong, and what is expected of it.
    """
    values: dict[str, object] = {}
    problems = []
    for variable in VARIABLES:
        try:
            values[variable.field] = variable.read(
                environment.get(variable.name) or variable.default
            )
        except ValueError as error:
            problems.append(f"{variable.name}: {error}")
    problems += _contradictions(
        {variable.name for variable in VARIABLES if environment.get(variable.name)}
    )
    if problems:
        raise SettingsError(tuple(problems))
    values["database_owner_url"] = values["database_owner_url"] or values["database_url"]
    return _settings(values)


def whatsapp_problems(settings: Settings) -> tuple[str, ...]:
    """What is missing before the server may hear Meta's webhook."""
    needed = {
        "WHATSAPP_APP_SECRET": settings.app_secret,
        "WHATSAPP_VERIFY_TOKEN": settings.verify_token,
    }
    return tuple(f"{name}: is not set" for name, value in needed.items() if not value)


def _contradictions(given: set[str]) -> list[str]:
    problems = []
    if "DATABASE_URL" in given and "REDIS_URL" not in given:
        problems.append("REDIS_URL: set it too, or unset DATABASE_URL to use the embedded stores")
    if "REDIS_URL" in given and "DATABASE_URL" not in given:
        problems.append("DATABASE_URL: set it too, or unset REDIS_URL to use the embedded stores")
    if "DATABASE_OWNER_URL" in given and "DATABASE_URL" not in given:
        problems.append("DATABASE_OWNER_URL: is for DATABASE_URL, which is not set")
    if ("META_APP_ID" in given) != ("META_CONFIG_ID" in given):
        problems.append("META_APP_ID, META_CONFIG_ID: set both, or neither")
    if ("TAXPAYER_URL" in given) != ("TAXPAYER_KEY" in given):
        problems.append("TAXPAYER_URL, TAXPAYER_KEY: set both, or neither")
    if "META_APP_ID" in given and "WHATSAPP_APP_SECRET" not in given:
        problems.append("WHATSAPP_APP_SECRET: is needed with META_APP_ID: Meta gives tokens for it")
    if "CLERK_ISSUER" in given and "CLERK_AUTHORIZED_PARTIES" not in given:
        problems.append(
            "CLERK_AUTHORIZED_PARTIES: is needed with CLERK_ISSUER: name the origins of the pages that log in by Clerk"
        )
    problems += [
        f"{name}: is for the instance that CLERK_ISSUER names, which is not set"
        for name in ("CLERK_AUTHORIZED_PARTIES", "CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_SECRET_KEY")
        if name in given and "CLERK_ISSUER" not in given
    ]
    if "DATABASE_URL" in given and "SMARTERBOT_KEYS" not in given:
        problems.append(
            "SMARTERBOT_KEYS: is needed with DATABASE_URL: make a key with "
            '`echo "k1:$(openssl rand -base64 32)"` and keep it as safe as the database'
        )
    return problems


def _settings(values: dict[str, object]) -> Settings:
    # Each value comes from the reader of its own field; a test compares the fields of the two.
    return cast("Callable[..., Settings]", Settings)(**values)
