"""What a firm must give so that its n8n can be told: the address of a webhook; the secret may be made here."""

import base64
import secrets
from collections.abc import Mapping
from typing import Final

from handlers.standard_webhooks import read_secrets

KEY_BYTES: Final = 32  # Standard Webhooks: 24 to 64


def check(options: Mapping[str, str], secret: str) -> None:
    """
    Raises:
        ValueError: what is expected; the secret itself is not in the text.
    """
    if options:
        raise ValueError("n8n has no options")
    if not read_secrets(secret):
        raise ValueError("a signing secret is expected: whsec_ and base64")


def new_secret() -> str:
    """A signing secret, as n8n's workflow is to be given it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
