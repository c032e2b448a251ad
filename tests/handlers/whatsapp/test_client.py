"""The client tells apart what was refused, what never left, and what may have been sent."""

import socket

import pytest

from flows.values.ids import Wamid
from handlers.whatsapp.client import Accepted, Graph
from handlers.whatsapp.errors import GraphFault, HeldBackError, MaybeSentError, NotSentError
from handlers.whatsapp.faults import UNKNOWN, fault_of
from handlers.whatsapp.http import ANSWER_BYTES_MAX
from tests.handlers.whatsapp.graph_stub import (
    Answer,
    GraphStub,
    Posted,
    accepts,
    breaks_off,
    graph_at,
    hangs_up,
    refuses,
    says,
)

BODY = b'{"type":"text"}'


async def test_an_accepted_message_has_its_wamid(graph: Graph, stub: GraphStub) -> None:
    accepted = await graph.post_message("106", "secret", BODY)

    assert accepted == Accepted(Wamid("wamid.OUT"))
    assert stub.posted == [Posted("/v26.0/106/messages", "Bearer secret", {"type": "text"})]


async def test_a_held_message_is_told_as_such(graph: Graph, stub: GraphStub) -> None:
    stub.script.append(accepts(message_status="held_for_quality_assessment"))

    assert (await graph.post_message("106", "secret", BODY)).held


@pytest.mark.parametrize(
    ("answer", "code", "fault"),
    [
        pytest.param(refuses(131047), 131047, fault_of(131047), id="window"),
        pytest.param(refuses(190, status=401), 190, fault_of(190), id="token"),
        pytest.param(refuses(131000, status=500), 131000, fault_of(1), id="stumbled-and-said-so"),
        pytest.param(refuses(424242), 424242, UNKNOWN, id="unknown-code"),
        pytest.param(refuses(131056, status=200), 131056, fault_of(131056), id="refused-with-200"),
        pytest.param(says("<html>", status=404), 0, UNKNOWN, id="html-404"),
        pytest.param(says("", status=429), 0, fault_of(130429), id="bare-429"),
        pytest.param(says("no", status=401), 0, fault_of(190), id="bare-401"),
        pytest.param(says({"error": "no"}, status=403), 0, fault_of(10), id="odd-403"),
    ],
)
async def test_a_refusal_is_a_fault(
    graph: Graph, stub: GraphStub, answer: Answer, code: int, fault: object
) -> None:
    stub.script.append(answer)

    with pytest.raises(GraphFault) as caught:
        await graph.post_message("106", "secret", BODY)

    assert (caught.value.code, caught.value.fault) == (code, fault)


async def test_a_redirect_is_not_followed(graph: Graph, stub: GraphStub) -> None:
    stub.script.append(says("", status=307, Location="/v26.0/107/messages"))

    with pytest.raises(GraphFault) as caught:
        await graph.post_message("106", "secret", BODY)

    assert caught.value.fault is UNKNOWN
    assert len(stub.posted) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hangs_up, id="reset"),
        pytest.param(breaks_off, id="cut-in-the-middle"),
        pytest.param(says("<html>Bad gateway", status=502), id="html-502"),
        pytest.param(says("", status=503), id="bare-503"),
        pytest.param(says({"error": {"code": "x"}}, status=500), id="500-without-code"),
        pytest.param(says("", status=408), id="408"),
        pytest.param(says("[" * 100_000), id="200-deep"),
        pytest.param(says("<html>"), id="200-html"),
        pytest.param(says({}), id="200-empty"),
        pytest.param(says({"messages": []}), id="200-no-message"),
        pytest.param(says({"messages": [{"id": ""}]}), id="200-empty-id"),
        pytest.param(says({"messages": [{"id": 7}]}), id="200-number-for-id"),
        pytest.param(accepts("w" * ANSWER_BYTES_MAX), id="200-endless"),
    ],
)
async def test_without_a_clear_answer_it_may_have_been_sent(
    graph: Graph, stub: GraphStub, answer: Answer
) -> None:
    stub.script.append(answer)

    with pytest.raises(MaybeSentError):
        await graph.post_message("106", "secret", BODY)

    assert len(stub.posted) == 1


async def test_silence_is_no_refusal(hasty_graph: Graph, stub: GraphStub) -> None:
    stub.script.append(stub.silent)

    with pytest.raises(MaybeSentError):
        await hasty_graph.post_message("106", "secret", BODY)


async def test_what_may_not_leave_any_more_is_held_back_at_the_last_moment(
    graph: Graph, stub: GraphStub
) -> None:
    stub.script.append(accepts())

    with pytest.raises(HeldBackError):
        await graph.post_message("106", "secret", BODY, may_leave=lambda: False)
    assert stub.posted == []

    await graph.post_message("106", "secret", BODY, may_leave=lambda: True)
    assert len(stub.posted) == 1


async def test_a_closed_door_is_not_sent() -> None:
    with socket.socket() as nobody:
        # Bound and not listening: the port is ours, so nobody else can answer on it.
        nobody.bind(("127.0.0.1", 0))
        with (
            graph_at(f"http://127.0.0.1:{nobody.getsockname()[1]}") as graph,
            pytest.raises(NotSentError),
        ):
            await graph.post_message("1", "t", BODY)


async def test_a_door_that_does_not_open_is_not_sent() -> None:
    with socket.socket() as full:
        # Its only place in the queue is taken, so a second connection waits until the time is up.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            graph_at(f"http://127.0.0.1:{port}", connect_s=0.1) as graph,
            pytest.raises(NotSentError),
        ):
            await graph.post_message("1", "t", BODY)


@pytest.mark.parametrize(
    ("number", "token"),
    [
        pytest.param("106", "se\r\ncret", id="line-break-in-the-token"),
        pytest.param("106", "secreto\u0301", id="beyond-ascii"),
        pytest.param("106", "", id="no-token"),
        pytest.param("1 HTTP/1.1\r\nX:", "t", id="line-break-in-the-number"),
    ],
)
async def test_what_would_break_the_request_is_not_sent_and_not_shown(
    graph: Graph, stub: GraphStub, number: str, token: str
) -> None:
    with pytest.raises(NotSentError) as caught:
        await graph.post_message(number, token, BODY)

    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "cret" not in shown
    assert stub.posted == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("7", 7, id="seconds"),
        pytest.param("999999", 3600, id="bounded"),
        pytest.param("-1", 0, id="negative"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", 0, id="date"),
        pytest.param("٣", 0, id="other-digits"),
    ],
)
async def test_retry_after_is_honoured_in_bounds(
    graph: Graph, stub: GraphStub, header: str, seconds: int
) -> None:
    stub.script.append(refuses(130429, Retry_After=header))

    with pytest.raises(GraphFault) as caught:
        await graph.post_message("106", "secret", BODY)

    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("details", "kept"),
    [
        pytest.param(
            "number of localizable_params (1) does not match the expected number of params (2)",
            "number of localizable_params (1) does not match the expected number of params (2)",
            id="counts-stay",
        ),
        pytest.param("Recipient +56 9 8765 4321 is not", "Recipient … is not", id="phone"),
        pytest.param("to=56987654321", "to=…", id="digits"),
        pytest.param("RUT 12.345.678-K given", "RUT … given", id="rut"),
        pytest.param("user CL.13491208655302741918 left", "user … left", id="bsuid"),
        pytest.param("mail ana@panes.cl bad", "mail … bad", id="e-mail"),
        pytest.param('value "Ana Pérez" is bad', "value … is bad", id="quoted"),
        pytest.param("x" * 900, "x" * 200, id="long"),
    ],
)
async def test_details_hold_no_personal_data(
    graph: Graph, stub: GraphStub, details: str, kept: str
) -> None:
    stub.script.append(refuses(100, details=details))

    with pytest.raises(GraphFault) as caught:
        await graph.post_message("106", "secret", BODY)

    assert caught.value.details == kept


async def test_an_error_shows_neither_token_nor_message(graph: Graph, stub: GraphStub) -> None:
    stub.script.append(hangs_up)

    with pytest.raises(MaybeSentError) as caught:
        await graph.post_message("106", "secret", b'{"text":"private"}')

    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "secret" not in shown
    assert "private" not in shown
