"""What the routes of login answer: the types are the OpenAPI document's too."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bot.identity.people import Role

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class CodeSent(Struct, frozen=True):
    """The same whether or not the person is known."""

    challenge_id: Annotated[str, Meta(description="Goes with the code that the person reads.")]
    expires_in: Annotated[int, Meta(description="Seconds until the code is over.")]
    resend_in: Annotated[int, Meta(description="Seconds until another one may be asked for.")]


class LinkBegun(Struct, frozen=True):
    """A login that waits for the person's message. The browser that began it is known by its cookie."""

    url: Annotated[str, Meta(description="Opens WhatsApp with the message.")]
    qr: Annotated[str, Meta(description="The same as a QR code: SVG.")]
    message: str
    expires_in: Annotated[int, Meta(description="Seconds until it is over.")]


class LinkStands(Struct, frozen=True):
    """How it stands with the browser's login."""

    status: Annotated[
        Literal["waiting", "asked", "approved", "refused", "over"],
        Meta(
            description="`asked`: in the chat, whether it is them. `over`: also for one that never was."
        ),
    ]
    expires_in: Annotated[int, Meta(description="Seconds until it is over.")]


class LoggedIn(Struct, frozen=True):
    """A person's session."""

    access_token: Annotated[str, Meta(description="JWT, ES256; see /.well-known/jwks.json.")]
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Meta(description="Seconds until the access token is over.")]
    ugid: Annotated[Id, Meta(description="The person, the same in every application and firm.")]
    refresh_token: (
        Annotated[
            str, Meta(description="For the next access token, once. A new one comes with it.")
        ]
        | UnsetType
    ) = UNSET


class Address(Struct, frozen=True):
    """An address that the person proved."""

    kind: Literal["phone", "email"]
    value: str
    verified_at: datetime


class Place(Struct, frozen=True):
    """A firm that the person belongs to."""

    id: Id
    name: str
    role: Role


class Me(Struct, frozen=True):
    """Who is logged in."""

    ugid: Id
    session: Id
    tenant: Id | None
    role: Role | None
    identities: list[Address]
    tenants: list[Place]


class SessionInfo(Struct, frozen=True):
    """A session that is open."""

    id: Id
    agent: Annotated[str, Meta(description="What the browser called itself.")]
    method: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    tenant: Id | None
    current: bool


class OpenSessions(Struct, frozen=True):
    """All sessions of a person that are open."""

    sessions: list[SessionInfo]


class Jwks(Struct, frozen=True):
    """RFC 7517."""

    keys: list[dict[str, str]]


class Discovery(Struct, frozen=True):
    """OpenID Connect Discovery 1.0, as far as it applies."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    userinfo_endpoint: str
    end_session_endpoint: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
    claims_supported: list[str]
