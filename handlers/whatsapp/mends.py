"""What each kind of alert asks somebody to do: the vocabulary of the doctor's findings and of all alerts of this room.

For operators, like the help of the commands; what people of a firm read stands in `locales/`.
"""

from typing import Final

_MANAGER: Final = "WhatsApp Manager"

MENDS: Final[dict[str, str]] = {
    # the way to Meta
    "unreachable": "check the network and WHATSAPP_GRAPH_URL",
    "unknown": "Meta's answer is not understood: try again later",
    # the token
    "token": "make a token of a system user with whatsapp_business_messaging and whatsapp_business_management, "
    "assign the WhatsApp account to that user, and set it: smarterbot channel token ID",
    "permission": "let the token's user send: whatsapp_business_messaging, and the WhatsApp account assigned to it",
    "token_scope": "the token lacks whatsapp_business_messaging or whatsapp_business_management: make a new one "
    "with both",
    "token_kind": "this token belongs to a person and ends with their session: make one of a system user, which "
    "never expires",
    "token_expires": "the token ends soon: make a new one, best one that never expires, and set it with "
    "smarterbot channel token ID",
    # the number
    "number": "copy phone_number_id again from WhatsApp > API Setup, and let the token's user see that account",
    "unverified": f"verify the number by SMS or call in {_MANAGER}",
    "name": f"ask for a new display name in {_MANAGER}",
    "quality": "people block or report this number: look at what is sent to them",
    "tier_lowered": "Meta lets the firm write to fewer people first: send less, and only what people asked for",
    "number_setup": "register the number: smarterbot channel register ID",
    "health_blocked": f"see the number's status in {_MANAGER}",
    "health_limited": f"see the number's status in {_MANAGER}",
    "no_pin": "nobody guards the number: set a two-step PIN with smarterbot channel register ID",
    "security": f"somebody changed or asked for the number's two-step PIN: if it was none of you, set it anew in "
    f"{_MANAGER}, and look who has access",
    # the account
    "account": "copy waba_id again from WhatsApp > API Setup",
    "not_subscribed": "its webhooks do not come to us: smarterbot channel subscribe ID",
    "app_removed": "the firm took our app from its WhatsApp account: ask it to connect again",
    "account_deleted": "the WhatsApp account was deleted at Meta: connect another one",
    "account_disabled": "Meta has disabled the account: appeal in the Business Support Home",
    "account_disabled_soon": "Meta is about to disable the account: see the Business Support Home today",
    "account_locked": "Meta has locked the account: see the Business Support Home",
    "account_restricted": "Meta restricts what the account sends: see the Business Support Home",
    "account_violation": "Meta says that a policy was violated: see the Business Support Home, and stop what caused it",
    "account_review": f"Meta has not approved the account: see {_MANAGER}",
    "account_alert": f"see {_MANAGER} > Account",
    "payment": f"Meta cannot charge: mend the method of payment in {_MANAGER} > Billing",
    "spam_limit": "people report what this number begins to say: stop campaigns, look at the templates",
    "misclassified_templates": "templates of another category were sent as utility: mend their category",
    "own_number": "somebody gave the number itself as the person to write to",
    "country_restricted": "Meta does not let this account write to that country",
    "marketing_disabled": "marketing goes out over Meta's marketing API only: see the account's terms",
    "not_in_test_list": f"a test number writes to five people only: add them in {_MANAGER}, or use a real number",
    # templates
    "template": "a template does not fit what is sent with it: smarterbot template status",
    "template_archived": "restore it, or send another template",
    "template_deleted": "make it again under another name: smarterbot template push",
    "template_pending_deletion": "it goes away: send another template",
    "template_disabled": "people reported it too often: write another template under another name",
    "template_paused": "people reported it: it comes back by itself after 3 or 6 hours, mend its text meanwhile",
    "template_rejected": "mend its text for the reason that Meta gave, and send it again: smarterbot template push",
    "template_locked": f"see why in {_MANAGER}",
    "template_limit_exceeded": "the account has as many templates as it may: delete some",
    "template_flagged": "people report it: it is paused if that goes on, mend its text",
    "template_quality": "people block or report the number because of it: mend its text, or send it less",
    "template_recategorised": "it costs more or obeys other limits now: mend its text and push it, or accept the price",
    "template_recategorised_soon": "Meta changes its category within a day: mend its text and push it before, or accept",
    "login_refused": "somebody was sent a link to log in that they did not ask for: if it is many, warn people",
    # the rest
    "form": "the form is slow, fails or is blocked: see WhatsApp > Flows, and the latency of our endpoint",
    "form_unavailable": "the form cannot be opened: publish it, and check WhatsApp > Flows",
    "bad_request": "a defect of ours: see the dead letters with smarterbot lanes",
    "unknown_field": "Meta posts something new: look whether it matters to us",
}


def mend_of(kind: str) -> str:
    """What to do about an alert; empty for a kind of another room."""
    return MENDS.get(kind, "")
