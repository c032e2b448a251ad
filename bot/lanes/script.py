"""A Lua script of ours and the name under which the store keeps it."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Self


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

    @classmethod
    def read(cls, package: str, name: str, *, shared: str = "") -> Self:
        """`scripts/<name>.lua` of `package`, with `scripts/<shared>.lua` between its first line and the rest."""
        folder = files(package) / "scripts"
        text = (folder / f"{name}.lua").read_text()
        if shared:
            first, _, rest = text.partition("\n")
            text = f"{first}\n{(folder / f'{shared}.lua').read_text()}\n{rest}"
        return cls.of(text)
