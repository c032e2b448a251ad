"""The demo number: the codes of firms, their links, and the lanes `demo/<conversation>`: whose bot a code names.

A code is made of the firm's id under a key of the installation. Whoever has it may see what the firm tells its
customers; nobody learns anything by guessing.
"""

from itertools import count
from typing import Final

import msgspec

from bot.engine.asks import RefusedCallError, serve_ask
from bot.identity.secrets import Macs
from bot.metrics import Metrics
from bot.people.chat_links import chat_link
from bot.people.directory import Directory
from bot.store.database import Database
from bot.store.secrets import Key
from flows.calls.demo import Demo, FindDemo
from flows.catalogue import LOCALES
from flows.customer.shop import shown
from flows.dialog.calls import decode, encode
from flows.dialog.ctx import Firm
from flows.dialog.texts import Texts
from flows.values.demo_code import ALPHABET, SIGNS, is_code
from flows.values.ids import TenantId
from handlers.actions import Ask
from handlers.ports import Channel, Item, Limits, Outcome

TRIES: Final = 20
"""Codes that a person may name at once, right ones or wrong ones …"""
ANOTHER_S: Final = 900
"""… and then one more in so many seconds."""
BYTES: Final = 6
"""Of the hash: enough for the signs of a code."""
PREFILL: Final = "server.demo.prefill"


class DemoCodes:
    """The codes of an installation's firms."""

    def __init__(self, pepper: bytes) -> None:
        """`pepper`: of the installation, one for ever: so is a firm's code."""
        self._macs = Macs((Key("pepper", pepper),), "demo")

    def of(self, tenant: TenantId) -> str:
        """The firm's code: with digits enough not to be taken for a word."""
        for n in count():
            number = int.from_bytes(self._macs.make(tenant.encode(), b"%d" % n)[:BYTES])
            code = "".join(ALPHABET[number >> 5 * place & 31] for place in range(SIGNS))
            if is_code(code):
                return code
        raise AssertionError("one in a few is one")


def demo_link(
    firm: Firm, channel: Channel, *, codes: DemoCodes, texts: Texts, chat_url: str
) -> str:
    """Address that opens a chat with the firm's bot on the demo number, with the message ready to be sent.

    Args:
        firm: whose bot.
        channel: the demo number.
        codes: of the installation.
        texts: the catalogues.
        chat_url: as of `chat_link`.
    """
    names = {"business": firm.name, "code": codes.of(firm.id)}
    return chat_link(chat_url, channel, texts.voice(firm.locale).render(PREFILL, names))


async def link_to_demo(database: Database, firm: Firm, channel: Channel, *, chat_url: str) -> str:
    """As `demo_link`, for a command, which has no directory."""
    async with database.system() as connection:
        pepper = await connection.fetchval("SELECT pepper FROM smarterbot.installation")
    codes, texts = DemoCodes(pepper), Texts.load(LOCALES)
    return demo_link(firm, channel, codes=codes, texts=texts, chat_url=chat_url)


class Demos:
    """The handler of kind `demo`, and where a firm's demo is."""

    def __init__(
        self, directory: Directory, limits: Limits, *, texts: Texts, chat_url: str, metrics: Metrics
    ) -> None:
        """`directory`: loaded; `chat_url`: where links into chats lead, https://wa.me."""
        self._directory = directory
        self._limits = limits
        self._texts = texts
        self._chat_url = chat_url
        self._metrics = metrics
        self._codes = DemoCodes(directory.pepper)
        self._tenants: dict[str, TenantId] = {}
        self._known: set[TenantId] = set()

    def link(self, tenant: TenantId) -> str:
        """Address of the firm's demo; empty if there is no demo number, no such firm, or its bot is not shown."""
        channel, firm = self._directory.demo(), self._directory.firm(tenant)
        if channel is None or firm is None or shown(firm) is None:
            return ""
        return demo_link(
            firm, channel, codes=self._codes, texts=self._texts, chat_url=self._chat_url
        )

    # -------------------------------------------------------------- the lanes

    @property
    def kind(self) -> str:
        return "demo"

    async def serve(self, item: Item) -> Outcome:
        return await serve_ask(item, self._answer, metrics=self._metrics)

    async def _answer(self, ask: Ask) -> msgspec.Raw | None:
        if ask.call != FindDemo.__name__:
            return None
        call = decode(ask.args, FindDemo)
        if await self._limits.take(f"demo:{ask.conversation}", per_s=1 / ANOTHER_S, burst=TRIES):
            raise RefusedCallError("too_many")
        found = self._find(call.code)
        self._metrics.count("demo", "unknown" if found is None else "shown")
        return encode(found)

    def _find(self, code: str) -> Demo | None:
        tenant = self._tenant(code)
        firm = shown(None if tenant is None else self._directory.firm(tenant))
        if firm is None:
            return None
        home = self._directory.platform()
        return Demo(firm.id, firm.name, home="" if home is None else home.display_phone)

    def _tenant(self, code: str) -> TenantId | None:
        """Whose code it is. Firms are added to the table when they are first looked for, and never leave it."""
        if code not in self._tenants:
            for firm in self._directory.firms():
                if firm.id not in self._known:
                    self._known.add(firm.id)
                    self._tenants.setdefault(self._codes.of(firm.id), firm.id)
        return self._tenants.get(code)
