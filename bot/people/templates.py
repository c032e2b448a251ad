"""Message templates as Meta told us of them, for each WABA of a firm."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import asyncpg
from msgspec.structs import replace

from bot.store.database import Connection, Database
from flows.values.ids import TenantId
from handlers.ports import Template

_ASPECTS: Final = ("status", "category", "quality")


async def list_templates(database: Database, tenant: TenantId, waba_id: str) -> list[Template]:
    """All templates of a WABA, by name and language."""
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            "SELECT * FROM smarterbot.templates WHERE tenant_id = $1 AND waba_id = $2 ORDER BY name, locale",
            tenant,
            waba_id,
        )
    return [template_of(row) for row in rows]


async def change_template(
    database: Database,
    tenant: TenantId,
    waba_id: str,
    key: tuple[str, str],
    news: Mapping[str, str],
    *,
    at: int,
) -> tuple[Template | None, Template | None]:
    """Write down what a webhook said of one template; what was said later already stays as it is.

    Args:
        key: name and locale.
        news: new values of `status`, `category` or `quality`. A template that we have not heard of is written down only
            if both its status and its category are told.
        at: when Meta said so, ms since the epoch.

    Returns:
        The template before and after.
    """
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow(
            """
            SELECT * FROM smarterbot.templates
            WHERE tenant_id = $1 AND waba_id = $2 AND name = $3 AND locale = $4 FOR UPDATE
            """,
            tenant,
            waba_id,
            *key,
        )
        if row is not None:
            before = template_of(row)
            after = await _update(connection, tenant, waba_id, row, news, at=at)
            return before, after
        if not (news.get("status") and news.get("category")):
            return None, None
        new = replace(Template(*key, status="", category="utility"), **dict(news))
        await _insert(connection, tenant, waba_id, new, at=at)
        return None, new


async def replace_templates(
    database: Database, tenant: TenantId, waba_id: str, found: Iterable[Template], *, as_of: int
) -> list[tuple[Template | None, Template | None]]:
    """Make the templates of a WABA what Meta listed; what a webhook has said since stays.

    Args:
        as_of: when Meta was asked, ms since the epoch.

    Returns:
        Before and after of each template that was new, changed or gone.
    """
    changes: list[tuple[Template | None, Template | None]] = []
    listed = {(template.name, template.locale): template for template in found}
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(
            """
            SELECT * FROM smarterbot.templates WHERE tenant_id = $1 AND waba_id = $2
            ORDER BY name, locale FOR UPDATE
            """,
            tenant,
            waba_id,
        )
        for row in rows:
            before = template_of(row)
            now = listed.pop((before.name, before.locale), None)
            after: Template | None = before
            if now is not None:
                news = {aspect: getattr(now, aspect) for aspect in _ASPECTS}
                after = await _update(
                    connection,
                    tenant,
                    waba_id,
                    row,
                    news,
                    at=as_of,
                    parameters=now.parameters,
                )
            elif row["status_at"] <= _time(as_of):
                await connection.execute(
                    """
                    DELETE FROM smarterbot.templates
                    WHERE tenant_id = $1 AND waba_id = $2 AND name = $3 AND locale = $4
                    """,
                    tenant,
                    waba_id,
                    before.name,
                    before.locale,
                )
                after = None
            if after != before:
                changes.append((before, after))
        for template in listed.values():
            await _insert(connection, tenant, waba_id, template, at=as_of)
            changes.append((None, template))
    return changes


def template_of(row: asyncpg.Record) -> Template:
    """The template in a row of `templates`."""
    return Template(
        name=row["name"],
        locale=row["locale"],
        status=row["status"],
        category=row["category"],
        quality=row["quality"],
        parameters=tuple(row["parameters"]),
    )


async def _insert(
    connection: Connection, tenant: TenantId, waba_id: str, template: Template, *, at: int
) -> None:
    await connection.execute(
        """
        INSERT INTO smarterbot.templates (
          tenant_id, waba_id, name, locale, status, category, quality, parameters, status_at, category_at, quality_at
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9) ON CONFLICT DO NOTHING
        """,
        tenant,
        waba_id,
        template.name,
        template.locale,
        template.status,
        template.category,
        template.quality,
        list(template.parameters),
        _time(at),
    )


async def _update(
    connection: Connection,
    tenant: TenantId,
    waba_id: str,
    row: asyncpg.Record,
    news: Mapping[str, str],
    *,
    at: int,
    parameters: tuple[str, ...] | None = None,
) -> Template:
    when = _time(at)
    fresh = {
        aspect: value for aspect, value in news.items() if value and row[f"{aspect}_at"] <= when
    }
    before = template_of(row)
    after = replace(before, **fresh)
    if parameters is not None:
        after = replace(after, parameters=parameters)
    times = [when if aspect in fresh else row[f"{aspect}_at"] for aspect in _ASPECTS]
    await connection.execute(
        """
        UPDATE smarterbot.templates SET status = $5, category = $6, quality = $7, parameters = $8,
          status_at = $9, category_at = $10, quality_at = $11
        WHERE tenant_id = $1 AND waba_id = $2 AND name = $3 AND locale = $4
        """,
        tenant,
        waba_id,
        after.name,
        after.locale,
        after.status,
        after.category,
        after.quality,
        list(after.parameters),
        *times,
    )
    return after


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
