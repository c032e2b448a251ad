"""What this room needs to know and to change of people; implemented above."""

from typing import Protocol

from flows.values.ids import Ugid
from handlers.clerk.codec import UserGone, UserSeen


class PeopleDownError(Exception):
    """People cannot be reached now: try again later."""


class ClerkPeople(Protocol):
    """People as one Clerk instance knows them. Everything raises PeopleDownError."""

    async def seen(self, user: UserSeen) -> Ugid | None:
        """Bring what is known of a person up to what Clerk told: a new person, or the one who is known already.

        None: something newer was heard before, or the user is deleted, which nothing undoes. Repeating it is harmless.
        """
        ...

    async def gone(self, user: UserGone) -> None:
        """A user was deleted: Clerk's word for anything about them ends. Repeating it is harmless."""
        ...
