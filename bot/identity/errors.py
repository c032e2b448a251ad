"""What can go wrong when somebody proves who they are.

IdentityError
├── TokenError       an access token that is not ours, not now, or not for us
├── SessionError     the session is over, or the refresh token is not its newest
├── DisabledError    the person may not log in
└── NoSigningKeyError  no key signs now: PostgreSQL has not been reached yet
"""


class IdentityError(Exception):
    """The message tells no personal data and no secret."""


class TokenError(IdentityError):
    """The message is one word for metrics; people are told nothing of it."""


class SessionError(IdentityError):
    """There is no such session any more. The message is one word for metrics."""


class DisabledError(IdentityError):
    """An operator has disabled this person's login, or the person was erased."""


class NoSigningKeyError(IdentityError):
    """No access token can be made now."""
