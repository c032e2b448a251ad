"""What each error code of the Cloud API obliges us to do: one table, read by sender and statuses alike.

Source: Cloud API reference, "Error codes" (v26.0), and what adapters met in the wild. Meta tells errors by
`code`; titles and HTTP statuses are not reliable (rate limits come as 400).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Reaction(Enum):
    """The one thing that a sender does about a fault."""

    RETRY = "retry"  # Meta stumbled: the same message again, with back-off
    PAIR = "pair"  # this person has had enough for now: the same message again, 4^X s later
    PAUSE = "pause"  # the whole number rests, the outbox is kept
    WINDOW = "window"  # the window is closed: the template once, else tell the conversation
    REFUSE = "refuse"  # this message will never arrive, and that is settled: tell the conversation
    DEAD = "dead"  # it is wrong as we wrote it: dead letter, to be mended and replayed; tell the conversation


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    """A word of our closed vocabulary: in events, logs and metrics."""
    reaction: Reaction
    rest_s: int = 0
    """PAUSE: length of the first rest of the number; later ones double."""
    tries_max: int = 40
    """RETRY, PAIR: after so many tries the message is given up; 40 are about three hours of back-off."""
    alert: bool = False
    """Somebody has to act today: the tenant's account, its token, or we."""


_TOKEN = Fault("token", Reaction.PAUSE, rest_s=60, alert=True)
_PERMISSION = Fault("permission", Reaction.PAUSE, rest_s=60, alert=True)
_TRANSIENT = Fault("transient", Reaction.RETRY)
_API_LIMIT = Fault("api_limit", Reaction.PAUSE, rest_s=60)
_LOCKED = Fault("account_locked", Reaction.PAUSE, rest_s=300, alert=True)
_NUMBER_SETUP = Fault("number_setup", Reaction.PAUSE, rest_s=300, alert=True)
_PAYMENT = Fault("payment", Reaction.PAUSE, rest_s=300, alert=True)
_TEMPLATE = Fault("template", Reaction.DEAD, alert=True)
_FLOW = Fault("form_unavailable", Reaction.REFUSE, alert=True)
_BUG = Fault("bad_request", Reaction.DEAD, alert=True)

UNKNOWN: Final = Fault("unknown", Reaction.RETRY, tries_max=8, alert=True)
"""A code that is in no table: tried a few times, then told to the conversation. Never lost, never for ever."""

FAULTS: Final[dict[int, Fault]] = {
    0: _TOKEN,
    190: _TOKEN,
    3: _PERMISSION,
    10: _PERMISSION,
    131005: _PERMISSION,
    1: _TRANSIENT,
    2: _TRANSIENT,
    131000: _TRANSIENT,
    131016: _TRANSIENT,
    133004: _TRANSIENT,
    4: _API_LIMIT,
    80007: _API_LIMIT,
    130429: Fault("number_throughput", Reaction.PAUSE, rest_s=1),
    131057: Fault("number_maintenance", Reaction.PAUSE, rest_s=60),  # up to a minute, at upgrades
    131056: Fault("pair_rate", Reaction.PAIR),
    # Restrictions on what the business initiates. Retrying makes the quality score worse.
    131048: Fault("spam_limit", Reaction.REFUSE, alert=True),
    131064: Fault("misclassified_templates", Reaction.REFUSE, alert=True),
    131047: Fault("window_closed", Reaction.WINDOW),
    # No WhatsApp, an old client, terms not accepted or a block: Meta does not tell which.
    131026: Fault("undeliverable", Reaction.REFUSE),
    131049: Fault("marketing_cap", Reaction.REFUSE),  # not again within 24 h
    131050: Fault(
        "marketing_stopped", Reaction.REFUSE
    ),  # the person opted out at Meta: never again
    130472: Fault("marketing_experiment", Reaction.REFUSE),
    131062: Fault("phone_needed", Reaction.REFUSE),  # authentication templates refuse a BSUID
    131063: Fault("marketing_disabled", Reaction.REFUSE, alert=True),
    137000: Fault("identity_changed", Reaction.REFUSE),
    131052: Fault("media_download", Reaction.REFUSE),
    131053: Fault("media_upload", Reaction.REFUSE),
    131021: Fault("own_number", Reaction.REFUSE),
    131030: Fault("not_in_test_list", Reaction.REFUSE, alert=True),
    131037: _NUMBER_SETUP,  # display name missing
    131045: _NUMBER_SETUP,  # certificate
    133010: _NUMBER_SETUP,  # not registered
    131031: _LOCKED,
    368: _LOCKED,
    130497: Fault("country_restricted", Reaction.REFUSE, alert=True),
    131042: _PAYMENT,
    131044: _PAYMENT,
    132000: _TEMPLATE,  # number of parameters
    132001: _TEMPLATE,  # missing, or not in this language
    132005: _TEMPLATE,  # text too long
    132007: _TEMPLATE,  # policy
    132008: _TEMPLATE,  # parameter value
    132012: _TEMPLATE,  # parameter format
    132015: Fault("template_paused", Reaction.REFUSE, alert=True),
    132016: Fault("template_disabled", Reaction.REFUSE, alert=True),
    132068: _FLOW,
    132069: _FLOW,
    33: _BUG,  # the object does not exist: number deleted, or not ours
    100: _BUG,
    131008: _BUG,
    131009: _BUG,
    131051: _BUG,
    135000: _BUG,
}

_RANGES: Final[tuple[tuple[int, int, Fault], ...]] = (
    (200, 299, _PERMISSION),
    (133000, 133016, _NUMBER_SETUP),
)


def fault_of(code: int) -> Fault:
    """The row of a Cloud API error code; `UNKNOWN` for a code without one."""
    if fault := FAULTS.get(code):
        return fault
    for first, last, fault in _RANGES:
        if first <= code <= last:
            return fault
    return UNKNOWN
