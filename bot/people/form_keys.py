"""Makes and changes the keys of forms: the private one is kept here, sealed, the public one is with Meta.

none -> [new]             kept first, then given to Meta: nobody can ask what we could not read
[old] -> [old, new]       kept; Meta's clients still use the old one
      -> [new, old]       once Meta has the new one; who still asks with the old one is understood
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.people.channels import SealedChannel, open_form_key, set_form_key
from bot.store.database import Database
from bot.store.secrets import SecretBox
from handlers.whatsapp.form_cipher import FormKey, FormKeys

KEPT_MAX = 2

Publish = Callable[[], Awaitable[None]]
"""Tells the running processes what has changed."""


@dataclass(frozen=True, slots=True)
class FormKeyChange:
    """What came of it."""

    public_pem: str
    is_new: bool


async def settle_form_key(
    database: Database,
    box: SecretBox,
    sealed: SealedChannel,
    *,
    rotate: bool,
    give: Callable[[str], Awaitable[None]],
    publish: Publish,
) -> FormKeyChange:
    """See to it that Meta has the public half of a key of ours: a new one if there is none, or to `rotate` it.

    Broken off anywhere it may be done again, and forms are read all the while.

    Args:
        give: gives a public key (PEM) to Meta; what it raises ends the change, with the old key in force.
        publish: called after each change that the running processes must know of.
    """
    channel = sealed.channel
    pem = open_form_key(box, sealed)
    keys = list(FormKeys.load(pem).keys) if pem else []
    is_new = rotate or not keys
    chosen = FormKey.new() if is_new else keys[0]

    async def keep(order: list[FormKey]) -> None:
        text = FormKeys(order[:KEPT_MAX]).pem()
        await set_form_key(database, box, channel.id, text, tenant=channel.tenant)
        await publish()

    if is_new:
        await keep([*keys[:1], chosen])
    await give(chosen.public_pem())
    if is_new and keys:
        await keep([chosen, keys[0]])
    return FormKeyChange(chosen.public_pem(), is_new)
