"""What can go wrong between us and PostgreSQL.

StoreError
├── RoleError        the role of DATABASE_URL may see more than one tenant: nothing runs
├── MigrationError   the schema cannot be brought up to date
└── SealError        a sealed value does not open
"""

from typing import Final

import asyncpg

UNAVAILABLE: Final = (
    OSError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # we stood still in a transaction, for too long
    asyncpg.InterfaceError,  # the connection was lost under a query
    asyncpg.InternalClientError,  # or between two of them: asyncpg has read the farewell, and not the end
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.TransactionRollbackError,  # a deadlock: the other one went first
)
"""PostgreSQL cannot do it now, and may be asked again."""


class StoreError(Exception):
    """The message says what to mend."""


class RoleError(StoreError):
    """Row-level security would not hold for this role."""


class MigrationError(StoreError):
    """The schema is not what the migrations say, or may not be changed."""


class SealError(StoreError):
    """Not sealed by us, not for this tenant and field, or with a key that we do not have."""
