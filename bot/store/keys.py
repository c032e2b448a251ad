"""The keys of an installation: given as text, or made for the embedded stores at their first start."""

import base64
import binascii
import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from bot.store.errors import StoreError
from bot.store.secrets import KEY_BYTES, Key

FILE: Final = "keys"
FIRST_ID: Final = "k1"


def read_keys(value: str) -> tuple[Key, ...]:
    """Reads `id:base64,id2:base64`; the first key is the current one.

    Raises:
        ValueError: that says what is expected; it never repeats a key.
    """
    if not value:
        return ()
    keys = []
    for part in value.split(","):
        name, _, text = part.strip().partition(":")
        try:
            keys.append(Key(id=name, secret=base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError) as error:
            raise ValueError(
                "id:key[,id2:key2…] is expected, each key 32 bytes in base64, e.g. from "
                '`echo "k1:$(openssl rand -base64 32)"`'
            ) from error
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("each key needs an id of its own")
    return tuple(keys)


def embedded_keys(data: Path) -> tuple[Key, ...]:
    """The keys in the data folder, made when there are none; readable by their owner alone.

    The file holds what SMARTERBOT_KEYS would: `id:base64`, several separated by commas.

    Raises:
        StoreError: the file is damaged.
    """
    path = data / FILE
    if not path.exists():
        _make(path)
    try:
        keys = read_keys(path.read_text("ascii").strip())
    except ValueError as error:
        raise StoreError(f"{path} does not hold keys: restore it from a backup") from error
    if not keys:
        raise StoreError(f"{path} is empty: restore it from a backup")
    return keys


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{FIRST_ID}:{text}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link fails where a rename would replace the key of a process that was faster.
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()
