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

ItemId = NewType("ItemId", str)
"""`<lane>:<base>-<k>`: one item of one lane, never reused; travels in `biz_opaque_callback_data`."""

FileId = NewType("FileId", str)
"""A file that we keep: a UUID in canonical text. What Meta calls it differs by number and by month."""

NO_CONVERSATION: Final = ConversationId("")
"""None is meant."""
