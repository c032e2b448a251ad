"""What each step on a lane promises, one sentence at a time. Their interplay is the model test's matter."""

import asyncio
import re
from dataclasses import replace

import pytest

from bot.clock import Clock
from bot.lanes import (
    Claimed,
    Committed,
    DeadLetter,
    Depth,
    LaneError,
    Lanes,
    Lease,
    Push,
    Put,
    StoreLostError,
    Taken,
    Wire,
)
from bot.lanes.lanes import CLAIM_MAX, ITEMS_MAX, JOURNAL_BYTES_MAX, LINES_MAX, PUSHES_MAX
from flows.values.ids import ConversationId, ItemId
from tests.bot.lanes.conftest import LEASE_MS, SHARDS
from tests.bot.lanes.servers import StoreServer

# Conversation c5 lives in shard 0, where these tests play.
CONV = "conv/c5"
SEND = "wa/c5"
SLACK_MS = 5_000  # what may pass of itself while a test runs


async def taken_with(lanes: Lanes, body: bytes = b"hello", lane: str = CONV) -> Taken:
    answer = await lanes.put(0, lane, body, take=True)
    assert isinstance(answer, Taken)
    return answer


async def only(lanes: Lanes, kind: str = "conv") -> Taken:
    claimed = await lanes.claim(0, kind)
    (taken,) = claimed.taken
    return taken


async def nothing_is_due(lanes: Lanes, kind: str = "conv") -> bool:
    return (await lanes.claim(0, kind)).taken == ()


# ---------------------------------------------------------------------- lease


async def test_a_lease_holds_as_long_as_it_was_asked_for(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes)
    clock.shift_ms += LEASE_MS - SLACK_MS
    assert taken.lease.holds()

    clock.shift_ms += SLACK_MS

    assert not taken.lease.holds()


async def test_a_renewed_lease_holds_on_and_a_lost_one_does_not(lanes: Lanes, clock: Clock) -> None:
    kept, lost = await taken_with(lanes), await taken_with(lanes, lane=SEND)
    await lanes.commit(lost, consumed=1)
    clock.shift_ms += LEASE_MS - SLACK_MS

    assert await lanes.renew([kept, lost]) == [True, False]

    clock.shift_ms += SLACK_MS
    assert kept.lease.holds()
    assert not lost.lease.holds()


async def test_a_slow_answer_makes_no_lease_longer(server: StoreServer, clock: Clock) -> None:
    wire = await Wire.open(server.url)
    lanes = Lanes(wire, shards=SHARDS, clock=clock, lease_ms=LEASE_MS)
    await lanes.put(0, CONV, b"hello")
    server.freeze()
    claim = asyncio.create_task(lanes.claim(0, "conv"))
    await asyncio.sleep(0)
    clock.shift_ms += LEASE_MS
    server.thaw()
    (taken,) = (await claim).taken
    await wire.close()

    assert not taken.lease.holds()


# ---------------------------------------------------------------------- put


async def test_a_put_waits_until_somebody_claims_it(lanes: Lanes) -> None:
    assert await lanes.put(0, CONV, b"hello") is Put.WAITING

    taken = await only(lanes)

    assert taken == Taken(
        shard=0,
        kind="conv",
        lane=CONV,
        token=taken.token,
        was=0,
        tries=1,
        head=0,
        proof=None,
        state=None,
        items=(b"hello",),
        ids=taken.ids,
        lease=Lease(Clock(), 0),
    )


async def test_a_put_may_take_the_idle_lane_at_once(lanes: Lanes) -> None:
    taken = await taken_with(lanes)

    assert taken.items == (b"hello",)
    assert re.fullmatch(r"conv/c5:[1-9][0-9]{13}-0", taken.id())
    assert taken.conversation == ConversationId("c5")
    assert await nothing_is_due(lanes)


async def test_a_put_does_not_take_what_somebody_holds(lanes: Lanes) -> None:
    await taken_with(lanes)

    assert await lanes.put(0, CONV, b"more", take=True) is Put.WAITING


@pytest.mark.parametrize(
    ("mark", "day", "expected"),
    [
        pytest.param("e1", 7, Put.SEEN, id="redelivery"),
        pytest.param("e2", 7, Put.WAITING, id="another-event"),
        pytest.param("e1", 8, Put.WAITING, id="another-day"),
        pytest.param("", 7, Put.WAITING, id="without-mark"),
    ],
)
async def test_an_event_is_put_once(lanes: Lanes, mark: str, day: int, expected: Put) -> None:
    await lanes.put(0, CONV, b"hello", mark="e1", day=7)

    assert await lanes.put(0, CONV, b"hello", mark=mark, day=day) is expected


async def test_marks_are_forgotten_in_the_end(lanes: Lanes, wire: Wire) -> None:
    for mark in ("e1", "e2"):
        await lanes.put(0, CONV, b"hello", mark=mark, day=7)

    left = await wire.call("TTL", "smarterbot:seen:{0}:7")
    assert isinstance(left, int)
    assert 7 * 86_400 < left <= 8 * 86_400


async def test_a_thousand_puts_of_one_tick_all_arrive(lanes: Lanes) -> None:
    answers = await asyncio.gather(
        *(lanes.put(0, f"conv/{n}", b"hello", mark=f"e{n}") for n in range(1_000))
    )

    assert answers == [Put.WAITING] * 1_000
    assert (await lanes.depths()).kinds["conv"].waiting == 1_000


async def test_a_failover_gives_no_number_twice(lanes: Lanes, wire: Wire) -> None:
    lost = await taken_with(lanes)
    await asyncio.sleep(0.001)  # a failover takes longer
    await wire.call("DEL", "smarterbot:box:{0}", "smarterbot:ready:{0}:conv")

    after = await taken_with(lanes)

    assert after.token > lost.token
    assert after.id() != lost.id()
    assert await lanes.commit(lost, consumed=1) is None


# -------------------------------------------------------------------- claim


async def test_the_longest_due_lane_is_claimed_first(lanes: Lanes, clock: Clock) -> None:
    for lane in ("conv/z", "conv/m", "conv/a"):
        await lanes.put(0, lane, b"hello")
        clock.shift_ms += 10

    first = await lanes.claim(0, "conv", lanes=2)

    assert [taken.lane for taken in first.taken] == ["conv/z", "conv/m"]
    assert [taken.lane for taken in (await lanes.claim(0, "conv")).taken] == ["conv/a"]


async def test_a_lane_that_goes_on_goes_behind_those_that_wait(lanes: Lanes, clock: Clock) -> None:
    for body in (b"1", b"2"):
        await lanes.put(0, "conv/busy", body)
    clock.shift_ms += 10
    await lanes.put(0, "conv/patient", b"hello")
    (busy,) = (await lanes.claim(0, "conv", lanes=1)).taken
    clock.shift_ms += 10

    await lanes.commit(busy, consumed=1)

    (next_one,) = (await lanes.claim(0, "conv", lanes=1)).taken
    assert next_one.lane == "conv/patient"


async def test_a_claim_tells_when_the_next_lane_is_due(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes)
    wake_ms = clock.now_ms() + 5_000
    await lanes.commit(taken, consumed=1, wake_ms=wake_ms)

    assert await lanes.claim(0, "conv") == Claimed(wake_ms, ())
    assert await lanes.claim(0, "nobody") == Claimed(0, ())


async def test_a_holder_sees_no_more_than_it_asked_for(lanes: Lanes) -> None:
    for n in range(5):
        await lanes.put(0, CONV, str(n).encode())

    (taken,) = (await lanes.claim(0, "conv", items=1)).taken
    assert taken.items == (b"0",)
    await lanes.commit(taken, consumed=1)
    assert (await only(lanes)).items == (b"1", b"2", b"3")


async def test_a_lease_that_ran_out_is_claimed_again_and_shows_that_its_holder_vanished(
    lanes: Lanes, clock: Clock
) -> None:
    lost = await taken_with(lanes)
    clock.shift_ms += LEASE_MS - 1_000
    assert await nothing_is_due(lanes)

    clock.shift_ms += 2_000

    again = await only(lanes)
    assert (again.was, again.tries, again.items) == (lost.token, 2, lost.items)
    assert await lanes.commit(lost, consumed=1) is None


# ------------------------------------------------------------------- commit


async def test_a_commit_does_everything_in_one_step(lanes: Lanes) -> None:
    taken = await taken_with(lanes)

    committed = await lanes.commit(
        taken,
        consumed=1,
        state=b"asked",
        push=[Push(SEND, b"hi", take=True), Push("desk/c5", b"note")],
        journal=[b"turn", b"consent"],
    )

    assert committed is not None
    assert committed.left == 0
    assert [(t.lane, t.items) for t in committed.taken] == [(SEND, (b"hi",))]
    assert (await only(lanes, "desk")).items == (b"note",)
    assert await lanes.read_journal(0, 10) == (0, [b"turn", b"consent"])
    assert (await lanes.inspect(CONV)).state == b"asked"


async def test_an_idle_lane_is_its_state_and_nothing_else(lanes: Lanes, wire: Wire) -> None:
    taken = await taken_with(lanes)

    await lanes.commit(taken, consumed=1, state=b"asked")

    fields = await wire.call("HKEYS", "smarterbot:box:{0}")
    assert isinstance(fields, list)
    assert set(map(bytes, map(_bytes, fields))) == {b"#", b"s:conv/c5"}
    assert await wire.call("EXISTS", "smarterbot:ready:{0}:conv") == 0


def _bytes(reply: object) -> bytes:
    assert isinstance(reply, bytes)
    return reply


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(None, b"old", id="kept"),
        pytest.param(b"", None, id="dropped"),
        pytest.param(b"new", b"new", id="set"),
        pytest.param(b"drop", b"drop", id="a-state-that-looks-like-a-word-of-ours"),
    ],
)
async def test_a_commit_keeps_drops_or_sets_the_state(
    lanes: Lanes, state: bytes | None, expected: bytes | None
) -> None:
    await lanes.commit(await taken_with(lanes), consumed=1, state=b"old")

    await lanes.commit(await taken_with(lanes), consumed=1, state=state)

    assert (await lanes.inspect(CONV)).state == expected


async def test_a_commit_is_accepted_once(lanes: Lanes) -> None:
    taken = await taken_with(lanes)
    await lanes.commit(taken, consumed=1, push=[Push(SEND, b"hi")])

    assert await lanes.commit(taken, consumed=1, push=[Push(SEND, b"hi")]) is None
    assert (await lanes.inspect(SEND)).waiting == 1


async def test_giving_a_lane_back_is_no_attempt(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes)
    for _ in range(5):
        wake_ms = clock.now_ms() + 1_500
        assert await lanes.commit(taken, consumed=0, wake_ms=wake_ms) == Committed(1, ())
        assert await nothing_is_due(lanes)
        clock.shift_ms += 2_000
        taken = await only(lanes)

    assert taken.tries == 1


async def test_a_new_event_wakes_a_lane_that_was_given_back_until_later(
    lanes: Lanes, clock: Clock
) -> None:
    taken = await taken_with(lanes)
    await lanes.commit(taken, consumed=0, wake_ms=clock.now_ms() + 1_500)

    await lanes.put(0, CONV, b"more")

    assert (await only(lanes)).items == (b"hello", b"more")


async def test_a_timer_is_due_without_an_item(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes)
    await lanes.commit(taken, consumed=1, wake_ms=clock.now_ms() + 1_500)
    assert await nothing_is_due(lanes)

    clock.shift_ms += 2_000

    rung = await only(lanes)
    assert (rung.items, rung.was, rung.tries) == ((), 0, 1)
    assert await lanes.commit(rung, consumed=0) == Committed(0, ())
    assert (await lanes.inspect(CONV)).due_in_ms is None


async def test_a_commit_beyond_its_limits_is_refused_before_anything_is_sent(
    lanes: Lanes,
) -> None:
    taken = await taken_with(lanes)
    push = [Push(SEND, b"hi")] * (PUSHES_MAX + 1)

    with pytest.raises(LaneError, match="201 pushes"):
        await lanes.commit(taken, consumed=1, push=push)
    with pytest.raises(LaneError, match="1001 lines"):
        await lanes.commit(taken, consumed=1, journal=[b"x"] * (LINES_MAX + 1))
    with pytest.raises(LaneError, match="2 consumed of 1 seen"):
        await lanes.commit(taken, consumed=2)
    with pytest.raises(LaneError, match="<kind>/<conversation>"):
        await lanes.commit(taken, consumed=1, push=[Push("nowhere", b"")])
    with pytest.raises(LaneError, match="at most 256 lanes"):
        await lanes.claim(0, "conv", lanes=CLAIM_MAX + 1)

    assert await lanes.commit(taken, consumed=1, push=push[1:]) == Committed(0, ())
    assert (await lanes.inspect(SEND)).waiting == PUSHES_MAX


async def test_the_greatest_lease_that_is_allowed_works(wire: Wire, clock: Clock) -> None:
    lanes = Lanes(wire, shards=1, clock=clock, most_items=ITEMS_MAX)
    await asyncio.gather(*(lanes.put(0, CONV, b"x") for _ in range(ITEMS_MAX + 1)))
    taken = await only(lanes)

    committed = await lanes.commit(taken, consumed=ITEMS_MAX, journal=[b"x"] * LINES_MAX)

    assert len(taken.items) == ITEMS_MAX
    assert committed == Committed(1, ())


async def test_a_full_store_takes_nothing_in_and_still_drains(
    server: StoreServer, clock: Clock
) -> None:
    wire = await Wire.open(server.url)
    lanes = Lanes(wire, shards=1, clock=clock)
    for lane in ("conv/1", "conv/2", "conv/3"):
        await lanes.put(0, lane, b"hello", mark=lane)
    await wire.call("CONFIG", "SET", "maxmemory", 1)

    with pytest.raises(StoreLostError, match="OOM"):
        await lanes.put(0, CONV, b"hello", mark="new", day=3)
    one, two, three = (await lanes.claim(0, "conv")).taken
    assert await lanes.renew([one]) == [True]
    assert await lanes.commit(one, consumed=1, state=b"s", push=[Push(SEND, b"hi")]) == Committed(
        0, ()
    )
    assert await lanes.bury(two, why="tries") == Committed(0, ())
    assert await lanes.retry(three, delay_ms=0)
    assert (await only(lanes, "wa")).items == (b"hi",)
    await wire.call("CONFIG", "SET", "maxmemory", 0)

    # The refused put left no mark behind.
    assert await lanes.put(0, CONV, b"hello", mark="new", day=3) is Put.WAITING
    await wire.close()


# -------------------------------------------------------------------- renew


async def test_a_renewed_lease_lasts_and_a_lost_one_is_told(lanes: Lanes, clock: Clock) -> None:
    lost = await taken_with(lanes, lane="conv/lost")
    kept = await taken_with(lanes, lane="conv/kept")
    sent = await taken_with(lanes, lane="wa/sent")
    await lanes.commit(lost, consumed=1)
    clock.shift_ms += LEASE_MS - 1_000

    assert await lanes.renew([kept, lost, sent]) == [True, False, True]

    clock.shift_ms += LEASE_MS - 1_000
    assert await nothing_is_due(lanes)
    assert await nothing_is_due(lanes, "wa")
    assert await lanes.renew([]) == []


# -------------------------------------------------------------------- retry


async def test_a_lane_that_rests_is_woken_by_nobody(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes, lane=SEND)
    assert await lanes.retry(taken, delay_ms=5_000)

    assert await lanes.put(0, SEND, b"more", take=True) is Put.WAITING
    assert await nothing_is_due(lanes, "wa")
    clock.shift_ms += 6_000

    again = await only(lanes, "wa")
    assert (again.was, again.tries, again.items) == (-1, 2, (b"hello", b"more"))


async def test_waiting_for_a_limit_is_no_attempt(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes, lane=SEND)
    await lanes.retry(taken, delay_ms=5_000, counts=False)
    clock.shift_ms += 6_000

    assert (await only(lanes, "wa")).tries == 1


async def test_a_lost_lease_cannot_be_given_back(lanes: Lanes) -> None:
    taken = await taken_with(lanes)
    await lanes.commit(taken, consumed=1)

    assert not await lanes.retry(taken, delay_ms=0)


@pytest.mark.parametrize("doubt_first", [True, False], ids=["in-doubt", "vanished"])
@pytest.mark.parametrize("counts", [True, False])
async def test_a_doubt_stays_with_its_item_whoever_gives_it_back(
    lanes: Lanes, clock: Clock, doubt_first: bool, counts: bool
) -> None:
    taken = await taken_with(lanes, lane=SEND)
    if doubt_first:
        await lanes.retry(taken, delay_ms=0, doubt=True)
    clock.shift_ms += LEASE_MS + 1_000
    doubted = await only(lanes, "wa")

    await lanes.retry(doubted, delay_ms=0, counts=counts)

    again = await only(lanes, "wa")
    assert (again.was == -2, again.was > 0) == (doubt_first, not doubt_first)
    assert not await lanes.retry(doubted, delay_ms=0)


# ------------------------------------------------------------------ confirm


async def test_a_status_wakes_an_item_in_doubt(lanes: Lanes) -> None:
    taken = await taken_with(lanes, lane=SEND)
    await lanes.retry(taken, delay_ms=60_000, doubt=True)
    assert await nothing_is_due(lanes, "wa")

    assert await lanes.confirm(0, "wa", b"delivered", [(taken.id(), b"wamid.1")]) == [0]

    again = await only(lanes, "wa")
    assert (again.was, again.proof) == (-2, b"wamid.1")
    assert await lanes.read_journal(0, 9) == (0, [b"delivered"])


async def test_a_status_that_came_before_the_doubt_is_found(lanes: Lanes) -> None:
    taken = await taken_with(lanes, lane=SEND)
    await lanes.confirm(0, "wa", b"sent", [(taken.id(), b"wamid.1")])

    await lanes.retry(taken, delay_ms=60_000, doubt=True)

    assert (await only(lanes, "wa")).proof == b"wamid.1"


async def test_a_status_does_not_end_a_back_off(lanes: Lanes) -> None:
    taken = await taken_with(lanes, lane=SEND)
    await lanes.retry(taken, delay_ms=60_000)

    assert await lanes.confirm(0, "wa", b"sent", [(taken.id(), b"wamid.1")]) == [0]

    assert await nothing_is_due(lanes, "wa")


async def test_statuses_of_anything_else_are_journaled_and_passed_over(lanes: Lanes) -> None:
    done = await taken_with(lanes, lane=SEND)
    await lanes.commit(done, consumed=1)
    await lanes.put(0, SEND, b"a later life of the lane")
    conversation = await taken_with(lanes)
    foreign = ("", "foreign", "wa/c5", "wa/c5:x-0", "wa/c5:1-", f"wa/{'c' * 300}:1-0", "wa/ñ:1-0")

    kept = await lanes.confirm(
        0,
        "wa",
        b"statuses",
        [(ItemId(item), b"x") for item in (done.id(), conversation.id(), *foreign)],
    )

    assert kept == []
    assert await lanes.read_journal(0, 9) == (0, [b"statuses"])


async def test_more_statuses_than_fit_a_script_are_one_line_all_the_same(lanes: Lanes) -> None:
    taken = await taken_with(lanes, lane=SEND)
    others = [(ItemId(f"wa/x{n}:1-0"), b"x") for n in range(2_500)]

    assert await lanes.confirm(0, "wa", b"flood", [*others, (taken.id(), b"wamid")]) == [0]

    assert await lanes.read_journal(0, 9) == (0, [b"flood"])


# --------------------------------------------------------------------- bury


async def test_a_buried_item_makes_room_for_the_next_and_tells_its_conversation(
    lanes: Lanes, clock: Clock
) -> None:
    await lanes.put(0, SEND, b"poison\nof two lines")
    await lanes.put(0, SEND, b"next")
    taken = await only(lanes, "wa")
    before = clock.now_ms()

    buried = await lanes.bury(
        taken,
        why="undeliverable",
        push=[Push(CONV, b"refused", take=True)],
        journal=[b"line"],
        state=b"broken",
    )

    assert buried is not None
    assert buried.left == 1
    assert [t.items for t in buried.taken] == [(b"refused",)]
    assert (await only(lanes, "wa")).items == (b"next",)
    assert (await lanes.inspect(SEND)).state == b"broken"
    assert await lanes.read_journal(0, 9) == (0, [b"line"])
    (letter,) = await lanes.dead_letters()
    assert replace(letter, at_ms=0) == DeadLetter(
        taken.id(), 0, 1, "undeliverable", b"poison\nof two lines"
    )
    assert letter.lane == SEND
    assert abs(letter.at_ms - before) < 60_000


async def test_a_burial_may_leave_a_timer(lanes: Lanes, clock: Clock) -> None:
    taken = await taken_with(lanes)
    await lanes.bury(taken, why="tries", wake_ms=clock.now_ms() + 1_500)
    clock.shift_ms += 2_000

    assert (await only(lanes)).items == ()


async def test_only_an_item_of_ours_can_be_buried_and_only_with_a_reason(
    lanes: Lanes, clock: Clock
) -> None:
    taken = await taken_with(lanes)
    with pytest.raises(LaneError, match="one word"):
        await lanes.bury(taken, why="")
    with pytest.raises(LaneError, match="one word"):
        await lanes.bury(taken, why="two words")
    await lanes.commit(taken, consumed=1, wake_ms=clock.now_ms())

    assert await lanes.bury(taken, why="tries") is None
    with pytest.raises(LaneError, match="no item"):
        await lanes.bury(await only(lanes), why="tries")
    assert await lanes.dead_letters() == []


async def buried(lanes: Lanes, conversation: str = "c5") -> ItemId:
    shard = lanes.shard(conversation)
    taken = await lanes.put(shard, f"wa/{conversation}", b"hello", take=True)
    assert isinstance(taken, Taken)
    await lanes.bury(taken, why="tries")
    return taken.id()


async def test_a_dead_letter_is_replayed_once_as_a_new_item(lanes: Lanes) -> None:
    item = await buried(lanes)

    assert await lanes.replay(item)
    assert not await lanes.replay(item)

    (taken,) = (await lanes.claim(lanes.shard("c5"), "wa")).taken
    assert taken.items == (b"hello",)
    assert taken.tries == 1
    assert taken.id() != item
    assert await lanes.dead_letters() == []


async def test_a_dead_letter_is_forgotten_once(lanes: Lanes) -> None:
    item = await buried(lanes)

    assert await lanes.forget(item)
    assert not await lanes.forget(item)
    assert not await lanes.replay(item)


async def test_dead_letters_of_all_shards_are_listed_the_oldest_first(
    lanes: Lanes, clock: Clock
) -> None:
    items = []
    for n in range(SHARDS * 3):
        items.append(await buried(lanes, f"c{n}"))
        clock.shift_ms += 10

    assert [letter.item for letter in await lanes.dead_letters()] == items
    assert len(await lanes.dead_letters(most=5)) == 5


async def test_what_is_no_item_cannot_be_replayed(lanes: Lanes) -> None:
    with pytest.raises(LaneError, match="an item is named"):
        await lanes.replay(ItemId("nonsense"))


# ------------------------------------------------------------------ journal


async def journaled(lanes: Lanes, *lines: bytes) -> None:
    await lanes.commit(await taken_with(lanes), consumed=1, journal=lines)


async def test_journal_lines_are_read_as_far_as_they_fit(lanes: Lanes) -> None:
    """A line may hold a thousand statuses; a hundred of them from each shard would be a gigabyte."""
    huge, half = b"h" * 2 * JOURNAL_BYTES_MAX, b"l" * (JOURNAL_BYTES_MAX // 2)
    for line in (huge, half, half, half):
        await lanes.confirm(0, "wa", line, [])

    assert await lanes.read_journal(0, 100) == (0, [huge])

    await lanes.trim_journal(0, 0, [huge])
    assert await lanes.read_journal(0, 100) == (1, [half, half])


async def test_two_readers_cannot_drop_each_others_lines(lanes: Lanes) -> None:
    await journaled(lanes, b"1", b"2", b"3")
    first, second = await lanes.read_journal(0, 2), await lanes.read_journal(0, 2)
    assert first == second == (0, [b"1", b"2"])

    assert await lanes.trim_journal(0, *first)
    await journaled(lanes, b"4")

    assert not await lanes.trim_journal(0, *second)
    assert await lanes.read_journal(0, 9) == (2, [b"3", b"4"])


async def test_an_emptied_journal_goes_on_where_it_was(lanes: Lanes) -> None:
    await journaled(lanes, b"1")
    assert await lanes.trim_journal(0, 0, [b"1"])
    assert await lanes.read_journal(0, 9) == (1, [])

    await journaled(lanes, b"2")

    assert await lanes.read_journal(0, 9) == (1, [b"2"])
    assert not await lanes.trim_journal(0, 1, [b"2", b"3"])


async def test_it_can_be_told_when_all_that_was_journaled_until_now_is_written(
    lanes: Lanes,
) -> None:
    await journaled(lanes, b"1", b"2")
    await lanes.trim_journal(0, 0, [b"1"])
    ends = await lanes.journal_ends()
    await journaled(lanes, b"3")

    assert (await lanes.journal_trimmed())[0] < ends[0]
    await lanes.trim_journal(0, 1, [b"2"])
    assert (await lanes.journal_trimmed())[0] == ends[0]


async def test_what_a_failover_put_in_the_place_of_other_lines_is_not_dropped(
    lanes: Lanes, wire: Wire
) -> None:
    await journaled(lanes, b"1", b"lost")
    read = await lanes.read_journal(0, 2)
    await wire.call("RPOP", "smarterbot:journal:{0}")
    await journaled(lanes, b"new")

    assert not await lanes.trim_journal(0, *read)

    assert await lanes.read_journal(0, 9) == (0, [b"1", b"new"])


# ------------------------------------------------------------- looking after


async def test_depths_tell_what_waits_what_is_held_and_for_how_long(
    lanes: Lanes, clock: Clock
) -> None:
    await taken_with(lanes, lane="wa/held")
    await lanes.retry(await taken_with(lanes, lane="wa/rests"), delay_ms=1_000)
    await lanes.put(1, "conv/old", b"hello")
    clock.shift_ms += 500
    await lanes.put(2, "conv/young", b"hello")
    await journaled(lanes, b"1", b"2")
    await buried(lanes, "dead")

    depths = await lanes.depths()

    assert depths.kinds["wa"] == Depth(waiting=0, leased=1, oldest_ms=0)
    conversations = depths.kinds["conv"]
    assert replace(conversations, oldest_ms=0) == Depth(waiting=2, leased=0, oldest_ms=0)
    assert 500 <= conversations.oldest_ms < 60_000
    assert (depths.journal, depths.dead) == (2, 1)


async def test_a_lane_can_be_looked_at_without_touching_it(lanes: Lanes) -> None:
    shard = lanes.shard("c5")
    taken = await lanes.put(shard, SEND, b"1", take=True)
    assert isinstance(taken, Taken)
    await lanes.put(shard, SEND, b"2")
    await lanes.confirm(shard, "wa", b"line", [(taken.id(), b"wamid")])

    view = await lanes.inspect(SEND)

    assert (view.shard, view.token, view.tries, view.waiting) == (shard, taken.token, 1, 2)
    assert [body for _, body in view.items] == [b"1", b"2"]
    assert view.items[0] == (taken.id(), b"1")
    assert (view.state, view.proof) == (None, b"wamid")
    assert view.due_in_ms is not None
    assert 0 < view.due_in_ms <= LEASE_MS
    assert await lanes.renew([taken]) == [True]


async def test_a_lane_that_never_was_looks_idle(lanes: Lanes) -> None:
    view = await lanes.inspect("wa/nobody")

    assert (view.due_in_ms, view.token, view.waiting, view.items) == (None, 0, 0, ())


# ---------------------------------------------------------------------- a clock that is set


async def test_a_clock_that_was_set_back_keeps_no_lane_waiting(lanes: Lanes, clock: Clock) -> None:
    """What rests, is leased or waits goes on as if nothing had been; a timer keeps its time of day."""
    hour = 3_600_000
    resting, leased = await taken_with(lanes), await taken_with(lanes, lane=SEND)
    await lanes.retry(resting, delay_ms=10_000)
    timer = await taken_with(lanes, lane="cw/c5")
    await lanes.commit(timer, consumed=1, wake_ms=clock.now_ms() + 2 * hour)
    clock.shift_ms -= hour

    assert await lanes.set_back(hour) == 2

    due = [(await lanes.inspect(lane)).due_in_ms for lane in (CONV, SEND, "cw/c5")]
    assert [round(ms / SLACK_MS) for ms in due if ms is not None] == [
        10_000 // SLACK_MS,
        LEASE_MS // SLACK_MS,
        3 * hour // SLACK_MS,
    ]
    assert await lanes.commit(leased, consumed=1) is not None


async def test_what_was_noted_since_the_clock_was_set_back_stays(
    lanes: Lanes, clock: Clock
) -> None:
    clock.shift_ms -= 3_600_000
    await taken_with(lanes)

    assert await lanes.set_back(3_600_000) == 0


async def test_whether_an_event_was_put_is_known_by_its_mark_and_day(lanes: Lanes) -> None:
    await lanes.put(0, CONV, b"pan", mark="wamid.1", day=7)

    assert await lanes.has_seen(0, "wamid.1", [8, 7])
    assert not await lanes.has_seen(0, "wamid.1", [8])
    assert not await lanes.has_seen(0, "wamid.2", [8, 7])
