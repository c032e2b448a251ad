"""What can go wrong with tenants and channels.

PeopleError
├── TakenError       somebody else has this RUT or this WhatsApp number
├── UnknownError     there is no such tenant or channel
└── DirectoryError   neither PostgreSQL nor the store knows the directory: the server cannot start
"""


class PeopleError(Exception):
    """The message says what to mend; it names no personal data."""


class TakenError(PeopleError):
    """It belongs to a tenant already. `field` names what."""

    def __init__(self, field: str, mend: str) -> None:
        super().__init__(f"{field}: {mend}")
        self.field = field


class UnknownError(PeopleError):
    """There is none with this id."""


class DirectoryError(PeopleError):
    """The directory cannot be read now."""
