"""What a firm must give so that its Chatwoot can be told: the account, and the token of an administrator."""

from collections.abc import Mapping
from typing import Final

ACCOUNT: Final = "account"


def check(options: Mapping[str, str], secret: str) -> None:
    """
    Raises:
        ValueError: what is expected.
    """
    if set(options) != {ACCOUNT} or not (
        options[ACCOUNT].isascii() and options[ACCOUNT].isdecimal()
    ):
        raise ValueError("account=NUMBER is expected, as in the address of Chatwoot's pages")
    if not secret.isascii() or not secret:
        raise ValueError("the access token of an administrator is expected")
