"""Posts a signed event to a firm's n8n.

The workflow checks the signature, and knows by `webhook-id` what it has had before: n8n itself does neither. Answers:
2xx taken; 410 wants no more; 404 is also said by a workflow that is not active, and by an n8n that has just been started.
Source: Standard Webhooks 1.0; n8n 1.121, measured.
"""

from collections.abc import Callable
from typing import Final

from handlers.outside import Outside, OutsideError
from handlers.persons import WITHIN_S, TellError, Then, ours, read_answer, refused, unreached
from handlers.ports import Clock
from handlers.standard_webhooks import read_secrets, signed_headers

_GONE: Final = 410


class N8nClient:
    """Speaks to any firm's n8n."""

    def __init__(self, outside: Outside, *, clock: Clock) -> None:
        self._outside = outside
        self._clock = clock

    async def post(
        self, address: str, secret: str, *, id: str, body: bytes, is_ours: Callable[[], bool]
    ) -> None:
        """Post one event; `id` is the same whenever it is posted again.

        Raises:
            TellError: it was not taken, or that is not known.
        """
        try:
            keys = read_secrets(secret)
        except ValueError:
            keys = ()
        if not keys:
            raise TellError("secret", Then.MEND)
        headers = signed_headers(id, self._clock.now_ms() // 1000, body, keys)
        headers |= {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        ours(is_ours)
        try:
            async with self._outside.request(
                "POST", address, headers=headers, data=body, within_s=WITHIN_S
            ) as response:
                if 200 <= response.status < 300:
                    return
                await read_answer(response)
                if response.status == _GONE:
                    raise TellError("gone", Then.STOP)
                otherwise = Then.MEND if response.status == 404 else Then.NEVER
                raise refused(response.status, response.headers, otherwise=otherwise)
        except OutsideError as error:
            raise unreached(error) from None
