"""Meta batches up to 1,000 messages into one webhook, and repeats what it likes: each message counts once."""

import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo import NUMBER
from bot.embedded.stores import Stores
from tests.echo import echo_book
from tests.whole.conftest import Whole, whole_server
from tests.whole.people import phone, until

PEOPLE = 50
EACH = 20


@pytest.fixture
async def echoing(stores: Stores, tmp_path: Path, free_port: int) -> AsyncIterator[Whole]:
    async with whole_server(stores, tmp_path, free_port, book=echo_book()) as whole:
        yield whole


def message(person: int, n: int) -> dict[str, object]:
    return {
        "id": f"wamid.batch-{person}-{n}",
        "from": phone(person),
        "timestamp": str(int(time.time())),  # noqa: TID251  Meta's clock is the real one here
        "type": "text",
        "text": {"body": f"m{n}"},
    }


def webhook(*values: list[dict[str, object]]) -> dict[str, object]:
    """One webhook; each list of messages is a change of its own."""
    changes = [
        {
            "field": "messages",
            "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "562", "phone_number_id": NUMBER.id},
                "contacts": [],
                "messages": messages,
            },
        }
        for messages in values
    ]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": NUMBER.waba_id, "changes": changes}],
    }


async def test_a_thousand_messages_of_fifty_people_are_each_consumed_once_and_in_order(
    echoing: Whole,
) -> None:
    for person in range(PEOPLE):
        await echoing.people.write(person, "abre la ventana")
    await until(lambda: _answered(echoing, PEOPLE), what="the windows")
    batch = [message(person, n) for n in range(EACH) for person in range(PEOPLE)]

    await echoing.people.inject(webhook(batch))
    # Re-batched as Meta may: other groups, other neighbours, several changes in one webhook.
    shuffled = random.Random(7).sample(batch, len(batch))
    await echoing.people.inject(webhook(shuffled[:300], shuffled[300:500]))
    await echoing.people.inject(webhook(*([one] for one in shuffled[500:])))
    await until(lambda: _answered(echoing, PEOPLE * (EACH + 1)), what="the batch")
    await echoing.emulator.settled()

    expected = ["1 abre la ventana ¿Algo más?"] + [f"{n + 2} m{n} ¿Algo más?" for n in range(EACH)]
    replies = await echoing.people.replies()
    assert len(replies) == PEOPLE
    for said in replies.values():
        assert said == expected
    truth = await echoing.people.truth()
    assert [pair["duplicates"] for pair in truth["world"]["pairs"]] == [{}] * PEOPLE


async def _answered(whole: Whole, count: int) -> bool:
    assert whole.truth.taken <= count
    return whole.truth.taken == count
