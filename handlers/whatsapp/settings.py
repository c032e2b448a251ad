"""What a tenant gives for one WhatsApp number."""

import re
from dataclasses import dataclass, field
from typing import Final

_META_ID: Final = re.compile(r"[0-9]{5,32}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.|-]{16,1024}")


class SettingsError(ValueError):
    """A value that cannot be right. `field` names it; the value itself is not shown."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Found in the Meta app under WhatsApp > API Setup; the token belongs to a system user."""

    phone_number_id: str
    waba_id: str
    token: str = field(repr=False)
    """A system user's token, or a business integration's: neither expires. A person's token ends in 60 days."""
    portfolio_id: str = ""
    """The Meta business that owns the account: BSUIDs are scoped to it. May be given later."""

    def __post_init__(self) -> None:
        for name in ("phone_number_id", "waba_id", "portfolio_id"):
            value = getattr(self, name)
            optional = name == "portfolio_id" and not value
            if not optional and not _META_ID.fullmatch(value):
                raise SettingsError(
                    name, "is not a number of Meta's (digits only, no telephone number)"
                )
        if self.phone_number_id == self.waba_id:
            raise SettingsError("waba_id", "is the phone_number_id again")
        if not _TOKEN.fullmatch(self.token):
            raise SettingsError(
                "token", "is not an access token (blanks or line breaks from copying?)"
            )
