"""Meta's error vocabulary, as it answers and as it tells in a `failed` status.

Source: Cloud API, "Error codes". The HTTP status is as unreliable as there: rate limits come as 400.
"""

from typing import Final

TITLES: Final[dict[int, str]] = {
    33: "Unsupported request",
    100: "Invalid parameter",
    130429: "Rate limit hit",
    131000: "Something went wrong",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131021: "Recipient cannot be sender",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131049: "This message was not delivered to maintain healthy ecosystem engagement.",
    131050: "User has stopped marketing messages",
    131051: "Unsupported message type",
    131052: "Media download error",
    131053: "Media upload error",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    131062: "Business-scoped user ID recipients are not supported for this message",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132012: "Parameter format does not match format in the created template",
    132015: "Template is paused",
    132016: "Template is disabled",
    132068: "Flow is blocked",
    132069: "Flow is throttled",
    133005: "Two step verification PIN Mismatch",
    133006: "Phone number re-verification needed",
    133008: "Too Many two step verification PIN Guesses",
    133009: "Two step verification PIN Guessed Too Fast",
    133010: "Phone number Not Registered",
    133015: "Please wait a few minutes before attempting to register this phone number",
    133016: "Account register deregister rate limit exceeded",
    139002: "Publishing Flow failed",
    190: "Error validating access token",
}

HTTP_STATUS: Final[dict[int, int]] = {190: 401, 131000: 500}
"""Every other code answers 400."""


class GraphError(Exception):
    """What Meta answers instead of taking a request."""

    def __init__(self, code: int, details: str = "", *, subcode: int = 0) -> None:
        super().__init__(f"(#{code}) {details}")
        self.code = code
        self.details = details
        self.subcode = subcode


def title_of(code: int) -> str:
    """Meta's title of a code; any code may be asked for on demand, so unknown ones have one too."""
    return TITLES.get(code, "Unknown error")
