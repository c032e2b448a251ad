"""Everything that a store holds, as text to look for secrets in."""

import re

import redis


def dumped(url: str) -> str:
    """Names of keys, and what is under them."""
    seen: list[bytes] = []
    with redis.Redis.from_url(url) as store:
        for key in store.keys("*"):
            seen.append(key)
            match store.type(key):
                case b"hash":
                    seen += [part for pair in store.hgetall(key).items() for part in pair]
                case b"list":
                    seen += store.lrange(key, 0, -1)
                case b"zset":
                    seen += store.zrange(key, 0, -1)
                case b"set":
                    seen += store.smembers(key)
                case b"string":
                    seen.append(store.get(key) or b"")  # it may have ended meanwhile
                case b"none":
                    pass  # it went meanwhile
                case other:
                    raise AssertionError(f"nobody looks into a {other!r}")
    return b"\n".join(seen).decode("latin-1")


def numbers_in(text: str) -> set[str]:
    """The numbers in a text, each whole: a code that stands within a longer one by chance is none."""
    return set(re.findall(r"\d+", text))
