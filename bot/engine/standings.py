"""How things stand with a person, for what is about to be sent to them: read from their conversation's own state."""

from bot.engine.conversation import decode
from bot.lanes import Lanes
from bot.people.addresses import conversation_of
from flows.values.ids import ConversationId
from handlers.ports import NOBODY, Standing


class Standings:
    """Implements `handlers.ports.Standings`. PostgreSQL is not asked: what a turn commits holds from that moment on."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def standing(self, conversation: ConversationId) -> Standing:
        """See the port. Somebody of whom nothing is known, or who left, has no window and allows nothing.

        Of somebody who proved to be another contact, that one's conversation tells.

        Raises:
            StoreLostError: of `bot.lanes`.
        """
        state = await self._lanes.state_of(f"conv/{conversation}")
        if state is None:
            return NOBODY
        rest = decode(state)
        if rest.left:
            return NOBODY
        if rest.into:
            state = await self._lanes.state_of(f"conv/{conversation_of(rest.channel, rest.into)}")
            rest = rest if state is None else decode(state)
        return Standing(window=rest.window, terms=rest.terms(answers=False))
