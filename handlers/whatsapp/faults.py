"""What each error code of the Cloud API obliges us to do: one table, read by sender and statuses alike.

Source: Cloud API reference, "Error codes" (v26.0), and what adapters met in the wild. Meta tells errors by
`code`; titles and HTTP statuses are not reliable (rate limits come as 400).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Reaction(Enum):
    """The one thing that a sender does about a fault that it is answered with."""

    RETRY = "retry"  # Meta stumbled: the same message again, with back-off
    PAIR = "pair"  # this person has had enough for now: the same message again, 4^X s later
    PAUSE = "pause"  # the whole number rests, the outbox is kept
    WINDOW = "window"  # the window is closed: the template once, else tell the conversation
    REFUSE = "refuse"  # this message will never arrive, and that is settled: tell the conversation
    DEAD = "dead"  # it is wrong as we wrote it: dead letter, to be mended and replayed; tell the conversation


class AfterTaken(Enum):
    """The one thing that follows if Meta took a message, and told of the fault in a `failed` status later."""

    AGAIN = "again"  # it did not arrive, and could have: once more after the rest, and no more
    WINDOW = "window"  # as `Reaction.WINDOW`
    WAIT = (
        "wait"  # a template or a form was dropped: what it stood for waits, or is asked in the chat
    )
    TELL = "tell"  # that was all: tell the conversation


class Mark(Enum):
    """What a conversation remembers of a fault."""

    SHUT = "shut"  # the window is closed, whatever we believed, until the person writes
    NO_OFFERS = "no_offers"  # the person stopped them: written into the ledger
    OFFERS_TOMORROW = "offers_tomorrow"  # Meta has sent this person enough of them for now
    OFFERS_ASKED_FOR = "offers_asked_for"  # none before the person writes
    UNREACHABLE = "unreachable"  # nothing on the firm's own initiative for some days, or until the person writes


_AFTER_TAKEN: Final = {
    Reaction.RETRY: AfterTaken.AGAIN,
    Reaction.PAIR: AfterTaken.AGAIN,
    Reaction.PAUSE: AfterTaken.AGAIN,
    Reaction.WINDOW: AfterTaken.WINDOW,
    Reaction.REFUSE: AfterTaken.TELL,
    Reaction.DEAD: AfterTaken.TELL,
}


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
    mark: Mark | None = None
    template: bool = False
    """What we hold of the template is wrong: it is left alone until it has been read again."""
    form: bool = False
    """The form cannot be opened: what it asks is asked in the chat."""
    halts_s: int = 0
    """For so long the number sends nothing on the firm's own initiative; answers go on."""

    @property
    def after_taken(self) -> AfterTaken:
        """What follows if it is told in a status. An unknown fault is not tried again: it may be a ban."""
        if self.template or self.form:
            return AfterTaken.WAIT
        return AfterTaken.TELL if self is UNKNOWN else _AFTER_TAKEN[self.reaction]


_TOKEN = Fault("token", Reaction.PAUSE, rest_s=60, alert=True)
_PERMISSION = Fault("permission", Reaction.PAUSE, rest_s=60, alert=True)
_TRANSIENT = Fault("transient", Reaction.RETRY)
_API_LIMIT = Fault("api_limit", Reaction.PAUSE, rest_s=60)
_LOCKED = Fault("account_locked", Reaction.PAUSE, rest_s=300, alert=True)
_NUMBER_SETUP = Fault("number_setup", Reaction.PAUSE, rest_s=300, alert=True)
_PAYMENT = Fault("payment", Reaction.PAUSE, rest_s=300, alert=True)
_TEMPLATE = Fault("template", Reaction.DEAD, alert=True, template=True)
_FLOW = Fault("form_unavailable", Reaction.REFUSE, alert=True, form=True)
_BUG = Fault("bad_request", Reaction.DEAD, alert=True)
_OTHER_FEATURE = Fault("other_feature", Reaction.DEAD, alert=True)

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
    131048: Fault("spam_limit", Reaction.REFUSE, alert=True, halts_s=3_600),
    131064: Fault("misclassified_templates", Reaction.REFUSE, alert=True, halts_s=3_600),
    131047: Fault("window_closed", Reaction.WINDOW, mark=Mark.SHUT),
    # No WhatsApp, an old client, terms not accepted or a block: Meta does not tell which.
    131026: Fault("undeliverable", Reaction.REFUSE, mark=Mark.UNREACHABLE),
    131049: Fault("marketing_cap", Reaction.REFUSE, mark=Mark.OFFERS_TOMORROW),
    131050: Fault("marketing_stopped", Reaction.REFUSE, mark=Mark.NO_OFFERS),
    130472: Fault("marketing_experiment", Reaction.REFUSE, mark=Mark.OFFERS_ASKED_FOR),
    131062: Fault("phone_needed", Reaction.REFUSE),  # authentication templates refuse a BSUID
    131063: Fault("marketing_disabled", Reaction.REFUSE, alert=True),
    137000: Fault("identity_changed", Reaction.REFUSE),
    131052: Fault("media_download", Reaction.REFUSE),
    131053: Fault("media_upload", Reaction.REFUSE),
    131021: Fault("own_number", Reaction.REFUSE, alert=True),
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
    132015: Fault("template_paused", Reaction.REFUSE, alert=True, template=True),
    132016: Fault("template_disabled", Reaction.REFUSE, alert=True, template=True),
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
    # Calls, forms, blocking, usernames, the making of templates: a message has no business there.
    (138000, 138999, _OTHER_FEATURE),
    (139000, 139103, _OTHER_FEATURE),
    (147001, 147005, _OTHER_FEATURE),
    (2_388_000, 2_388_999, _OTHER_FEATURE),
)


def fault_of(code: int) -> Fault:
    """The row of a Cloud API error code; `UNKNOWN` for a code without one."""
    if fault := FAULTS.get(code):
        return fault
    for first, last, fault in _RANGES:
        if first <= code <= last:
            return fault
    return UNKNOWN


_ANSWERED: Final = {
    Reaction.RETRY: "the same again, with back-off, up to {tries} times; then a dead letter",
    Reaction.PAIR: "the same again 4^X s later, up to {tries} times; then a dead letter",
    Reaction.PAUSE: "the number rests from {rest} s on, longer each time; everything is kept",
    Reaction.WINDOW: "its template in its place, once; else it waits for the person",
    Reaction.REFUSE: "given up",
    Reaction.DEAD: "a dead letter",
}
_TOLD_LATER: Final = {
    AfterTaken.AGAIN: "sent once more",
    AfterTaken.WINDOW: "its template in its place, once; else it waits for the person",
    AfterTaken.WAIT: "given up; what it stood for waits, or is asked in the chat",
    AfterTaken.TELL: "given up",
}
_REMEMBERED: Final = {
    Mark.SHUT: "the window is closed until the person writes",
    Mark.NO_OFFERS: "no offers any more, in the ledger",
    Mark.OFFERS_TOMORROW: "no offers for 24 hours",
    Mark.OFFERS_ASKED_FOR: "no offers until the person writes",
    Mark.UNREACHABLE: "nothing on the firm's initiative for 7 days, or until the person writes",
}


def faults_table() -> str:
    """What the documentation shows of this file: a line for each fault, in Markdown."""
    codes: dict[Fault, list[str]] = {}
    for code, fault in sorted(FAULTS.items()):
        codes.setdefault(fault, []).append(str(code))
    for first, last, fault in _RANGES:
        codes.setdefault(fault, []).append(f"{first}-{last}")
    codes[UNKNOWN] = ["any other"]
    rows = [
        f"| {', '.join(of_it)} | `{fault.name}` | {_answered(fault)} | {_TOLD_LATER[fault.after_taken]} "
        f"| {_kept(fault)} | {'yes' if fault.alert else ''} |"
        for fault, of_it in codes.items()
    ]
    head = "| code | fault | Meta answers it | a status tells it later | remembered | alert |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _answered(fault: Fault) -> str:
    return _ANSWERED[fault.reaction].format(tries=fault.tries_max, rest=fault.rest_s)


def _kept(fault: Fault) -> str:
    if fault.template:
        return "the template is left alone for 15 minutes"
    if fault.halts_s:
        return f"the number takes no initiative for {fault.halts_s // 60} minutes"
    return _REMEMBERED[fault.mark] if fault.mark else ""
