"""The key of the embedded stores is made once, for its owner's eyes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.store.errors import StoreError
from bot.store.keys import embedded_keys


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"

    first, second = embedded_keys(data), embedded_keys(data)

    assert first == second
    assert [key.id for key in first] == ["k1"]
    assert (data / "keys").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in data.iterdir()] == ["keys"]


def test_two_folders_have_two_keys(tmp_path: Path) -> None:
    assert embedded_keys(tmp_path / "a") != embedded_keys(tmp_path / "b")


def test_all_who_come_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(embedded_keys, [tmp_path] * 8))

    assert len(found) == 1


@pytest.mark.parametrize("damaged", ["", "k1:AAAA", "k1"])
def test_a_damaged_file_is_named_and_never_replaced(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "keys").write_text(damaged)

    with pytest.raises(StoreError, match=str(tmp_path / "keys")):
        embedded_keys(tmp_path)

    assert (tmp_path / "keys").read_text() == damaged
