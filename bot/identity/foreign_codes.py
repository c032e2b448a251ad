"""Codes that another login makes and checks (Supabase Auth): we only carry them, by the way that our own codes go.

A repeated order is known by a keyed hash of the user and the code. How many codes are carried has a bound for each phone
and one for all: whoever signs the orders pays for nothing, we do.
"""

from typing import Final

import phonenumbers
from msgspec.json import Encoder

from bot.clock import Clock
from bot.engine.limits import Limits
from bot.identity.otp import LIFE_S, LOCALES, SHORT_MAX, SHORT_S, TEMPLATE, CodeLetters
from bot.identity.secrets import Macs
from bot.lanes import PREFIX, Bell, LaneError, Lanes, Put, StoreLostError, Wire
from bot.people.directory import Directory
from bot.store.secrets import Key
from flows.values.phone import WaId
from handlers.actions import CODE_LANE, SendCode
from handlers.ports import StoreDownError
from handlers.supabase.codes import Sent

HASH_BYTES: Final = 16
COUNTED_S: Final = 600
"""So long a repeated order is not counted again; Supabase repeats within seconds."""
HOUR_S: Final = 3_600

_encode = Encoder().encode


class ForeignCodes:
    """Implements `handlers.supabase.codes.ForeignCodes`."""

    def __init__(
        self,
        wire: Wire,
        lanes: Lanes,
        bell: Bell,
        *,
        directory: Directory,
        letters: CodeLetters,
        limits: Limits,
        clock: Clock,
        countries: frozenset[str],
        per_hour: int,
    ) -> None:
        """
        Args:
            countries: ISO 3166 codes of those that codes go to.
            per_hour: most codes of all phones.
        """
        self._wire = wire
        self._lanes = lanes
        self._bell = bell
        self._directory = directory
        self._letters = letters
        self._limits = limits
        self._clock = clock
        self._countries = countries
        self._per_hour = per_hour
        pepper = (Key("pepper", directory.pepper),)
        # As `bot.identity.otp` does: all codes to a phone lie in one lane.
        self._places = Macs(pepper, "otp place")
        self._orders = Macs(pepper, "foreign code")

    async def send(self, phone: WaId, code: str, *, user: str, locale: str, day: int) -> Sent:
        """See the port."""
        channel = self._directory.platform()
        if channel is None:
            return Sent.NO_CHANNEL
        if _country(phone) not in self._countries:
            return Sent.COUNTRY
        whose = self._places.make(b"phone", phone.encode())[:HASH_BYTES].hex()
        order = self._orders.make(user.encode(), phone.encode(), code.encode())[:HASH_BYTES].hex()
        lane = f"{CODE_LANE}{whose}"
        now = self._clock.now_ms()
        letter = SendCode(
            tenant=channel.tenant,
            channel=channel.id,
            sealed=self._letters.seal(lane, phone, code),
            template=TEMPLATE,
            language=locale if locale in LOCALES else LOCALES[0],
            at=now,
            expires=now + LIFE_S * 1000,
        )
        shard = self._lanes.shard(lane)
        try:
            if not await self._counted(order, whose):
                return Sent.TOO_MANY
            answer = await self._lanes.put(
                shard, f"wa/{lane}", _encode(letter), mark=order, day=day
            )
        except (StoreLostError, LaneError) as lost:
            raise StoreDownError("the lanes cannot take anything now") from lost
        if answer is Put.SEEN:
            return Sent.AGAIN
        self._bell.ring(shard, "wa")
        return Sent.SENT

    async def _counted(self, order: str, whose: str) -> bool:
        """Whether the order is within the bounds; one that is repeated was counted before."""
        key = f"{PREFIX}foreign_code:{{{order}}}"
        if await self._wire.call("GET", key):
            return True
        for name, per_s, burst in (
            (f"code:{whose}", SHORT_MAX / SHORT_S, SHORT_MAX),
            ("code:foreign", self._per_hour / HOUR_S, self._per_hour),
        ):
            if await self._limits.take(name, per_s=per_s, burst=burst):
                return False
        await self._wire.call("SET", key, b"1", "EX", str(COUNTED_S))
        return True


def _country(phone: WaId) -> str:
    try:
        number = phonenumbers.parse(f"+{phone}")
    except phonenumbers.NumberParseException:
        return ""
    # Not `region_code_for_number`: it knows no region for real Chilean mobiles of new blocks.
    return phonenumbers.region_code_for_country_code(number.country_code or 0)
