"""Identifiers. Opaque everywhere: none of them tells a phone, a RUT or a name."""

from typing import Final, NewType

TenantId = NewType("TenantId", str)
"""A firm: a UUID in canonical text."""

ChannelId = NewType("ChannelId", str)
"""One WhatsApp business number of a tenant: a UUID in canonical text."""

ContactId = NewType("ContactId", str)
"""A person as one tenant knows them: a UUID in canonical text."""

ConversationId = NewType("ConversationId", str)
"""(channel, contact), the unit of order, state and lease: a UUID in canonical text."""

Wamid = NewType("Wamid", str)
"""Meta's id of one message, in or out."""

NO_MESSAGE: Final = Wamid("")

MessageId = NewType("MessageId", str)
"""A message that a firm's own system asked for: a UUID in canonical text, and its `ref` for ever."""

CampaignId = NewType("CampaignId", str)
"""Messages to many people at once: a UUID in canonical text."""

KeyId = NewType("KeyId", str)
"""An API key of a tenant: a UUID in canonical text. It opens nothing."""

ItemId = NewType("ItemId", str)
"""`<lane>:<base>-<k>`: one item of one lane, never reused; travels in `biz_opaque_callback_data`."""

FileId = NewType("FileId", str)
"""A file that we keep: a UUID in canonical text. What Meta calls it differs by number and by month."""

NO_CONVERSATION: Final = ConversationId("")
"""None is meant."""

Ugid = NewType("Ugid", str)
"""A person across the platform: a UUID, version 4, in canonical text."""
