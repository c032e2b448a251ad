"""Whoever wrote in a conversation, as the calls that flows make need to know them."""

from bot.engine.conversation import decode as decode_conversation
from bot.identity.links import Who
from bot.lanes import Lanes
from bot.people.addresses import conversation_of
from bot.people.directory import Directory
from handlers.actions import Ask


class Writers:
    """Looks people up by the conversation that asks for them."""

    def __init__(self, lanes: Lanes, directory: Directory) -> None:
        self._lanes = lanes
        self._directory = directory

    async def of(self, ask: Ask) -> Who | None:
        """By the addresses that their messages come from. None: the conversation is nobody's any more.

        Raises:
            StoreLostError, LaneError: of `bot.lanes`.
        """
        state = await self._lanes.state_of(f"conv/{ask.conversation}")
        if state is None:
            return None
        rest = decode_conversation(state)
        if rest.into:
            state = await self._lanes.state_of(f"conv/{conversation_of(rest.channel, rest.into)}")
            rest = rest if state is None else decode_conversation(state)
        channel = self._directory.channel(ask.channel)
        if rest.left or channel is None or not (rest.sender.wa_id or rest.sender.bsuid):
            return None
        scope = channel.portfolio_id or channel.waba_id
        return Who(phone=rest.sender.wa_id, bsuid=rest.sender.bsuid, scope=scope)
