"""What may stand in REDIS_URL, and what it says."""

import pytest

from bot.lanes import Address, StoreUrl
from bot.lanes.address import PORT, SENTINEL_PORT


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        pytest.param("redis://store", [Address(host="store", port=PORT)], id="host"),
        pytest.param("redis://store:6400/0", [Address(host="store", port=6400)], id="port"),
        pytest.param("redis://[::1]:6400", [Address(host="::1", port=6400)], id="ipv6"),
        pytest.param(
            "redis://:p%40ss@store", [Address(host="store", password="p@ss")], id="password"
        ),
        pytest.param(
            "rediss://bot:secret@store",
            [Address(host="store", tls=True, user="bot", password="secret")],
            id="tls-user",
        ),
        pytest.param("unix:///run/v.sock", [Address(path="/run/v.sock")], id="unix"),
        pytest.param(
            "unix://:secret@/run/v.sock",
            [Address(path="/run/v.sock", password="secret")],
            id="unix-password",
        ),
        pytest.param(
            "redis://:secret@a,b:6400,[::1]:6401/",
            [
                Address(host="a", password="secret"),
                Address(host="b", port=6400, password="secret"),
                Address(host="::1", port=6401, password="secret"),
            ],
            id="nodes-of-a-cluster",
        ),
    ],
)
def test_the_servers_are_read(url: str, servers: list[Address]) -> None:
    assert StoreUrl.parse(url) == StoreUrl(tuple(servers))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "redis+sentinel://bot:secret@a,b:26380/main/0",
            StoreUrl(
                (Address(user="bot", password="secret"),),
                (Address(host="a", port=SENTINEL_PORT), Address(host="b", port=26380)),
                "main",
            ),
            id="they-ask-for-no-password",
        ),
        pytest.param(
            "rediss+sentinel://:secret@a/main?sentinel_password=other&sentinel_username=watch",
            StoreUrl(
                (Address(tls=True, password="secret"),),
                (Address("a", SENTINEL_PORT, tls=True, user="watch", password="other"),),
                "main",
            ),
            id="they-have-a-password-of-their-own",
        ),
    ],
)
def test_sentinels_are_read(url: str, expected: StoreUrl) -> None:
    assert StoreUrl.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("redis://:secret@store/1", id="another-database"),
        pytest.param("redis://:secret@store?ssl=1", id="options"),
        pytest.param("redis://:secret@store?sentinel_password=secret", id="no-sentinel"),
        pytest.param("http://:secret@store", id="scheme"),
        pytest.param("store:6379", id="no-scheme"),
        pytest.param("redis://", id="no-host"),
        pytest.param("redis://:secret@a,,b", id="an-empty-host"),
        pytest.param("redis://:secret@a:70000", id="no-such-port"),
        pytest.param("redis://:secret@a:b", id="a-port-of-letters"),
        pytest.param("redis://:secret@/0", id="only-a-database"),
        pytest.param("unix://", id="no-path"),
        pytest.param("unix://:secret@host/path", id="a-path-on-a-host"),
        pytest.param("redis+sentinel://:secret@store", id="no-primary"),
        pytest.param("redis+sentinel://:secret@store/main/1", id="sentinel-another-database"),
        pytest.param("redis+sentinel://:secret@store/main?db=1", id="sentinel-options"),
        pytest.param("redis+cluster://:secret@store", id="another-way"),
    ],
)
def test_a_wrong_url_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"store|database|sentinel") as refused:
        StoreUrl.parse(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://bot:secret@a,b", "redis+sentinel://bot:secret@a/main"])
def test_a_url_does_not_show_its_password(url: str) -> None:
    where = StoreUrl.parse(url)

    assert "secret" not in f"{where} {where!r}"
