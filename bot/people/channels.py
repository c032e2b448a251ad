"""Channels: the WhatsApp numbers of tenants, as PostgreSQL keeps them. Their tokens are sealed."""

from dataclasses import dataclass, field
from enum import StrEnum

import asyncpg

from bot.people.errors import TakenError, UnknownError
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId, TenantId
from handlers.ports import Channel


class Mark(StrEnum):
    """What a number is for."""

    FIRM = "firm"
    PLATFORM = "platform"
    DEMO = "demo"


def mark_of(channel: Channel) -> Mark:
    return Mark.PLATFORM if channel.platform else Mark.DEMO if channel.demo else Mark.FIRM


@dataclass(frozen=True, slots=True)
class SealedChannel:
    """A channel with its secrets as they lie in the database; empty when none was given."""

    channel: Channel
    token: str = field(repr=False)
    """For the Graph API."""
    form_key: str = field(default="", repr=False)
    """Private keys that its forms are read with."""


async def add_channel(database: Database, box: SecretBox, channel: Channel, *, token: str) -> None:
    """Register a number under its own id.

    Raises:
        TakenError: a tenant has this number already.
        UnknownError: there is no such tenant.
    """
    async with database.tenant(channel.tenant) as connection:
        try:
            await connection.execute(
                """
                INSERT INTO smarterbot.channels (
                  tenant_id, id, phone_number_id, waba_id, portfolio_id, display_phone, platform, demo, throughput,
                  token
                ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                channel.tenant,
                channel.id,
                channel.phone_number_id,
                channel.waba_id,
                channel.portfolio_id,
                channel.display_phone,
                channel.platform,
                channel.demo,
                channel.throughput,
                seal_token(box, channel.id, token, tenant=channel.tenant),
            )
        except asyncpg.UniqueViolationError as error:
            raise TakenError("phone_number_id", "a channel has this number already") from error
        except asyncpg.ForeignKeyViolationError as error:
            raise UnknownError("there is no tenant with this id") from error


async def set_token(
    database: Database, box: SecretBox, channel: ChannelId, token: str, *, tenant: TenantId
) -> None:
    """Replace a channel's Graph token.

    Raises:
        UnknownError: the tenant has no such channel.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            "UPDATE smarterbot.channels SET token = $3 WHERE tenant_id = $1 AND id = $2 RETURNING true",
            tenant,
            channel,
            seal_token(box, channel, token, tenant=tenant),
        )
    if not done:
        raise UnknownError("the tenant has no channel with this id")


async def set_form_key(
    database: Database, box: SecretBox, channel: ChannelId, pem: str, *, tenant: TenantId
) -> None:
    """Replace the private keys of a channel's forms (PEM, the current one first).

    Raises:
        UnknownError: the tenant has no such channel.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            "UPDATE smarterbot.channels SET form_key = $3 WHERE tenant_id = $1 AND id = $2 RETURNING true",
            tenant,
            channel,
            box.seal(pem, tenant=tenant, field=_form_field(channel)) if pem else "",
        )
    if not done:
        raise UnknownError("the tenant has no channel with this id")


async def set_throughput(
    database: Database, channel: ChannelId, throughput: int, *, tenant: TenantId
) -> None:
    """Say how many messages a second Meta lets a channel send.

    Raises:
        UnknownError: the tenant has no such channel.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            "UPDATE smarterbot.channels SET throughput = $3 WHERE tenant_id = $1 AND id = $2 RETURNING true",
            tenant,
            channel,
            throughput,
        )
    if not done:
        raise UnknownError("the tenant has no channel with this id")


async def mark_channel(
    database: Database, channel: ChannelId, mark: Mark, *, tenant: TenantId
) -> None:
    """Say what a number is for.

    Raises:
        UnknownError: the tenant has no such channel.
    """
    async with database.tenant(tenant) as connection:
        done = await connection.fetchval(
            "UPDATE smarterbot.channels SET platform = $3, demo = $4 WHERE tenant_id = $1 AND id = $2 RETURNING true",
            tenant,
            channel,
            mark is Mark.PLATFORM,
            mark is Mark.DEMO,
        )
    if not done:
        raise UnknownError("the tenant has no channel with this id")


async def find_channel(database: Database, channel: ChannelId) -> SealedChannel:
    """One channel, of whichever tenant.

    Raises:
        UnknownError: there is none with this id.
    """
    for sealed in await list_channels(database):
        if sealed.channel.id == channel:
            return sealed
    raise UnknownError("there is no channel with this id: smarterbot channel list")


async def list_channels(database: Database) -> list[SealedChannel]:
    """The channels of all tenants, by number."""
    async with database.system() as connection:
        rows = await connection.fetch("SELECT * FROM smarterbot.directory_channels()")
    return [sealed_channel_of(row) for row in rows]


async def reseal_secrets(database: Database, box: SecretBox) -> int:
    """Seal every token and form key with the current key; answers how many were changed. Then old keys may go.

    Raises:
        SealError: one does not open with the keys we have; those before it are done.
    """
    changed = 0
    for sealed in await list_channels(database):
        if sealed.token and not box.is_current(sealed.token):
            channel = sealed.channel
            token = open_token(box, sealed)
            await set_token(database, box, channel.id, token, tenant=channel.tenant)
            changed += 1
        if sealed.form_key and not box.is_current(sealed.form_key):
            channel = sealed.channel
            pem = open_form_key(box, sealed)
            await set_form_key(database, box, channel.id, pem, tenant=channel.tenant)
            changed += 1
    return changed


def seal_token(box: SecretBox, channel: ChannelId, token: str, *, tenant: TenantId) -> str:
    """A token ready to be stored."""
    return box.seal(token, tenant=tenant, field=_field(channel)) if token else ""


def open_token(box: SecretBox, sealed: SealedChannel) -> str:
    """The token itself.

    Raises:
        SealError: it is not this channel's, or its key is gone.
    """
    if not sealed.token:
        return ""
    return box.open(sealed.token, tenant=sealed.channel.tenant, field=_field(sealed.channel.id))


def open_form_key(box: SecretBox, sealed: SealedChannel) -> str:
    """The private keys of its forms, as PEM. Raises as `open_token`."""
    if not sealed.form_key:
        return ""
    channel = sealed.channel
    return box.open(sealed.form_key, tenant=channel.tenant, field=_form_field(channel.id))


def sealed_channel_of(row: asyncpg.Record) -> SealedChannel:
    """The channel in a row of `channels`."""
    return SealedChannel(
        channel=Channel(
            id=ChannelId(str(row["id"])),
            tenant=TenantId(str(row["tenant_id"])),
            phone_number_id=row["phone_number_id"],
            waba_id=row["waba_id"],
            display_phone=row["display_phone"],
            portfolio_id=row["portfolio_id"],
            platform=row["platform"],
            demo=row["demo"],
            throughput=row["throughput"],
        ),
        token=row["token"],
        form_key=row["form_key"],
    )


def _field(channel: ChannelId) -> str:
    return f"channels.token.{channel}"


def _form_field(channel: ChannelId) -> str:
    return f"channels.form_key.{channel}"
