"""The rules of the world: the window, the pair limit, throughput, prices."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.whatsapp.emulator.content import Notice, Reaction, Text
from handlers.whatsapp.emulator.errors import GraphError
from handlers.whatsapp.emulator.templates import SAMPLES, read_templates
from handlers.whatsapp.emulator.world import (
    FREE_ENTRY_MS,
    PAIR_BURST,
    PAIR_GAP_MS,
    SERVICE_BILLED_FROM_MS,
    SERVICE_FREE_PER_MONTH,
    WINDOW_MS,
    Memory,
    Person,
    Price,
    Send,
    World,
    WorldError,
)
from tests.handlers.whatsapp.emulator.stage import ANA, LUNA, NOW_MS, SOL

MINUTE_MS = 60_000
HELLO = Send(content=Text("Hola"), phone=ANA)


def a_world() -> tuple[World, Person]:
    world = World([SOL, LUNA], read_templates(SAMPLES))
    return world, world.add_person("Ana", wa_id=ANA)


def takes(world: World, now_ms: int, send: Send = HELLO) -> int:
    """0 when the message is taken and will arrive, else the error, at once or later."""
    try:
        return world.accept(SOL.id, send, now_ms=now_ms).fails
    except GraphError as error:
        return error.code


# ------------------------------------------------------------------ window


@pytest.mark.parametrize(
    ("after_ms", "fails"),
    [
        pytest.param(0, 0, id="at-once"),
        pytest.param(WINDOW_MS - 1, 0, id="last-instant"),
        pytest.param(WINDOW_MS, 131047, id="a-day-later"),
    ],
)
def test_the_window_is_open_for_a_day_after_the_last_message(after_ms: int, fails: int) -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)

    assert takes(world, NOW_MS + after_ms) == fails


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 30 * 3_600_000), st.sampled_from(["hears", "sends"])), max_size=30
    )
)
def test_free_text_arrives_exactly_within_a_day_of_the_persons_last_message(
    steps: list[tuple[int, str]],
) -> None:
    world, ana = a_world()
    now_ms, last_ms = NOW_MS, None

    for pause_ms, step in steps:
        now_ms += pause_ms + PAIR_GAP_MS
        if step == "hears":
            world.hear(SOL.id, ana.id, Text("hola"), now_ms=now_ms)
            last_ms = now_ms
        else:
            is_open = last_ms is not None and now_ms - last_ms < WINDOW_MS
            assert takes(world, now_ms) == (0 if is_open else 131047)


def test_our_own_messages_do_not_open_the_window() -> None:
    world, ana = a_world()

    takes(world, NOW_MS)

    assert world.window(SOL.id, ana.id).closes_ms == 0


def test_a_reaction_does_not_open_the_window() -> None:
    world, ana = a_world()
    said = world.accept(SOL.id, HELLO, now_ms=NOW_MS).message

    world.hear(SOL.id, ana.id, Reaction(said.wamid, "👍"), now_ms=NOW_MS)

    assert world.window(SOL.id, ana.id).closes_ms == 0


def test_each_number_has_its_own_window() -> None:
    world, ana = a_world()

    world.hear(LUNA.id, ana.id, Text("hola"), now_ms=NOW_MS)

    assert takes(world, NOW_MS) == 131047


# ------------------------------------------------------------------ limits


def test_a_burst_of_45_passes_and_then_one_each_6_seconds() -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)

    at_once = [takes(world, NOW_MS) for _ in range(PAIR_BURST + 1)]
    soon = takes(world, NOW_MS + PAIR_GAP_MS - 1)
    after_6_s = [takes(world, NOW_MS + PAIR_GAP_MS) for _ in range(2)]

    assert at_once == [0] * PAIR_BURST + [131056]
    assert soon == 131056
    assert after_6_s == [0, 131056]


def test_the_pair_limit_can_be_switched_off() -> None:
    world = World([msgspec.structs.replace(SOL, pair_gap_ms=0)])
    ana = world.add_person("Ana", wa_id=ANA)
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)

    assert [takes(world, NOW_MS) for _ in range(79)] == [0] * 79


@given(pauses=st.lists(st.integers(0, 20_000), min_size=1, max_size=150))
def test_no_stretch_of_time_holds_more_than_the_burst_and_one_each_6_seconds(
    pauses: list[int],
) -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)
    now_ms, taken = NOW_MS, list[int]()

    for pause_ms in pauses:
        now_ms += pause_ms
        if takes(world, now_ms) == 0:
            taken.append(now_ms)

    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= PAIR_BURST + (taken[last] - taken[first]) // PAIR_GAP_MS


def test_a_number_passes_80_messages_a_second_in_and_out_together() -> None:
    world, ana = a_world()
    people = [world.add_person(f"p{n}", wa_id=f"5690000{n:04d}") for n in range(60)]
    for person in people:
        world.hear(SOL.id, person.id, Text("hola"), now_ms=NOW_MS)

    answers = [
        takes(world, NOW_MS, Send(content=Text("a"), phone=person.wa_id)) for person in people[:21]
    ]
    a_second_later = takes(world, NOW_MS + 1_000, Send(content=Text("a"), phone=people[30].wa_id))

    assert answers == [0] * 20 + [130429]
    assert a_second_later == 0, ana


# ------------------------------------------------------------------ prices


def price(world: World, now_ms: int, send: Send = HELLO) -> Price | None:
    return world.accept(SOL.id, send, now_ms=now_ms).message.price


FREE = Price(billable=False, category="service", type="free_customer_service")
BILLED = Price(billable=True, category="service", type="regular")


def test_a_reply_is_billed_beyond_the_free_thousand_of_the_month() -> None:
    world, ana = a_world()
    prices = []
    for n in range(SERVICE_FREE_PER_MONTH + 1):
        now_ms = SERVICE_BILLED_FROM_MS + n * PAIR_GAP_MS
        world.hear(SOL.id, ana.id, Text("hola"), now_ms=now_ms)
        prices.append(price(world, now_ms))

    assert prices == [FREE] * SERVICE_FREE_PER_MONTH + [BILLED]


def test_a_new_month_begins_with_free_messages() -> None:
    world, ana = a_world()
    for n in range(SERVICE_FREE_PER_MONTH + 1):
        now_ms = SERVICE_BILLED_FROM_MS + n * PAIR_GAP_MS
        world.hear(SOL.id, ana.id, Text("hola"), now_ms=now_ms)
        price(world, now_ms)
    november_ms = SERVICE_BILLED_FROM_MS + 31 * 24 * 60 * MINUTE_MS

    world.hear(SOL.id, ana.id, Text("hola"), now_ms=november_ms)

    assert price(world, november_ms) == FREE


@pytest.mark.parametrize(
    ("name", "category"),
    [
        pytest.param("retomar_atencion", "utility", id="utility"),
        pytest.param("lista_precios", "marketing", id="marketing"),
        pytest.param("codigo_ingreso", "authentication", id="authentication"),
    ],
)
def test_a_template_is_billed_by_its_category_even_inside_the_window(
    name: str, category: str
) -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)
    found = world.template(SOL.waba_id, name, "es_CL")
    assert found is not None
    notice = Notice(found.name, found.language, found.category.lower(), found.body)

    paid = price(world, NOW_MS, Send(content=notice, phone=ANA))

    assert paid == Price(billable=True, category=category, type="regular")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrote_ms_ago", "expected"),
    [
        pytest.param(MINUTE_MS, "free_customer_service", id="inside-the-window"),
        pytest.param(WINDOW_MS, "regular", id="outside"),
    ],
)
def test_until_october_2026_a_notice_inside_the_window_was_free(
    wrote_ms_ago: int, expected: str
) -> None:
    world, ana = a_world()
    now_ms = SERVICE_BILLED_FROM_MS - 1
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=now_ms - wrote_ms_ago)
    notice = Notice("retomar_atencion", "es_CL", "utility", "¿Seguimos?")

    paid = price(world, now_ms, Send(content=notice, phone=ANA))

    assert paid is not None
    assert paid.type == expected


def test_a_number_may_have_fewer_free_messages() -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)
    world.change_number(SOL.id, free_service=2)

    assert [price(world, NOW_MS) for _ in range(3)] == [FREE, FREE, BILLED]


def test_what_arrives_is_billed_once_and_what_fails_is_not() -> None:
    world, ana = a_world()
    world.change_number(SOL.id, free_service=0)
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)
    first, second, third, fourth = (
        world.accept(SOL.id, HELLO, now_ms=NOW_MS).message.wamid for _ in range(4)
    )
    for wamid in (first, second, third, fourth):
        world.mark(wamid, "sent", now_ms=NOW_MS)
    for status in ("delivered", "delivered", "read"):
        world.mark(first, status, now_ms=NOW_MS)
    world.mark(second, "read", now_ms=NOW_MS)
    world.mark(third, "failed", now_ms=NOW_MS, code=131026)

    [billed] = world.bill()

    assert (billed.number, billed.category, billed.type) == (SOL.id, "service", "regular")
    assert billed.messages == 2


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [
        pytest.param(FREE_ENTRY_MS - 1, "free_entry_point", id="last-instant"),
        pytest.param(FREE_ENTRY_MS, "free_customer_service", id="three-days-later"),
    ],
)
def test_after_an_advertisement_everything_is_free_for_72_hours_from_our_answer(
    after_ms: int, expected: str
) -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS, ad=True)
    answered_ms = NOW_MS + MINUTE_MS
    price(world, answered_ms)
    world.hear(SOL.id, ana.id, Text("¿y?"), now_ms=answered_ms + after_ms)

    paid = price(world, answered_ms + after_ms)

    assert paid is not None
    assert paid.type == expected


def test_an_answer_after_a_day_gives_no_free_entry() -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS, ad=True)
    found = world.template(SOL.waba_id, "retomar_atencion", "es_CL")
    assert found is not None
    notice = Notice(found.name, found.language, found.category.lower(), found.body)

    world.accept(SOL.id, Send(content=notice, phone=ANA), now_ms=NOW_MS + WINDOW_MS)

    assert world.window(SOL.id, ana.id).free_until_ms == 0


# ------------------------------------------------------------------ people and truth


def test_a_person_has_another_bsuid_in_each_portfolio() -> None:
    _, ana = a_world()

    assert ana.bsuid("sol") != ana.bsuid("luna")
    assert ana.bsuid("sol").startswith("CL.")


def test_two_people_cannot_have_one_phone() -> None:
    world, _ = a_world()

    with pytest.raises(WorldError):
        world.add_person("Otra Ana", wa_id=ANA)


def test_a_late_status_does_not_take_a_message_back() -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)
    wamid = world.accept(SOL.id, HELLO, now_ms=NOW_MS).message.wamid

    first = world.mark(wamid, "delivered", now_ms=NOW_MS)
    late = world.mark(wamid, "sent", now_ms=NOW_MS)

    assert first is not None
    assert late is None


def test_ids_are_not_used_again_after_a_reset() -> None:
    world, ana = a_world()
    before = world.hear(SOL.id, ana.id, Text("hola"), now_ms=NOW_MS)

    world.reset()
    again = world.add_person("Ana", wa_id=ANA)
    after = world.hear(SOL.id, again.id, Text("hola"), now_ms=NOW_MS)

    assert before.wamid != after.wamid
    assert ana.id != again.id


def test_the_truth_tells_order_and_duplicates_of_each_person() -> None:
    world, ana = a_world()
    world.hear(SOL.id, ana.id, Text("uno"), now_ms=NOW_MS)
    for opaque in ("i-1", "i-2", "i-1"):
        world.accept(SOL.id, Send(content=Text(opaque), phone=ANA, opaque=opaque), now_ms=NOW_MS)

    truth = world.truth()

    pair = truth.pairs[0]
    assert (truth.heard, truth.taken) == (1, 3)
    assert [line.text for line in pair.heard] == ["uno"]
    assert [line.opaque for line in pair.taken] == ["i-1", "i-2", "i-1"]
    assert pair.duplicates == {"i-1": 2}


def test_the_oldest_is_forgotten_first() -> None:
    world = World([SOL], memory=Memory(bubbles_max=2, ledger_max=3))
    ana = world.add_person("Ana", wa_id=ANA)

    heard = [world.hear(SOL.id, ana.id, Text(word), now_ms=NOW_MS) for word in "abcde"]

    assert world.messages(SOL.id, ana.id) == tuple(heard[3:])
    assert world.message(heard[0].wamid) is None
    truth = world.truth()
    assert (truth.heard, truth.forgotten) == (5, 2)
    assert [line.text for line in truth.pairs[0].heard] == ["c", "d", "e"]
