"""Sentinels: processes that watch a primary and its replicas, and know which of them is the primary now."""

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.lanes.address import Address, StoreUrl
from bot.lanes.errors import StoreLostError


async def find_primary(url: StoreUrl, *, wait_s: float) -> Address:
    """Ask one sentinel after the other, `wait_s` each.

    Raises:
        StoreLostError: none of them answers, or knows a primary of this name that is up.
    """
    asked = url.sentinels[0]
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # the library has no types there
        [(sentinel.host, sentinel.port) for sentinel in url.sentinels],
        sentinel_kwargs={
            "socket_timeout": wait_s,
            "socket_connect_timeout": wait_s,
            "retry": Retry(NoBackoff(), 0),
            "ssl": asked.tls,
            "username": asked.user or None,
            "password": asked.password or None,
        },
    )
    try:
        host, port = await sentinels.discover_master(url.primary)
    except (RedisError, OSError) as error:
        raise StoreLostError(
            f"no sentinel of {url} knows where {url.primary!r} is: {type(error).__name__}"
        ) from error
    finally:
        await sentinels.aclose()
    return url.servers[0].at(host, port)
