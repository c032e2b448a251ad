"""The doctor finds what keeps a number from sending or hearing."""

import socket

import pytest

from handlers.whatsapp import doctor
from handlers.whatsapp.client import Graph
from handlers.whatsapp.settings import ChannelSettings
from tests.handlers.whatsapp.graph_stub import Answer, GraphStub, graph_at, refuses, says

SETTINGS = ChannelSettings("106540352242922", "102290129340398", token="EAAG" + "x" * 40)
WELL = {
    "id": "106540352242922",
    "quality_rating": "GREEN",
    "code_verification_status": "VERIFIED",
    "name_status": "APPROVED",
    "health_status": {"can_send_message": "AVAILABLE", "entities": []},
}
SUBSCRIBED = says({"data": [{"whatsapp_business_api_data": {"id": "1"}}]})


async def test_a_healthy_number_has_no_findings(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend([says(WELL), SUBSCRIBED])

    assert await doctor.examine(graph, SETTINGS) == ()


@pytest.mark.parametrize(
    ("number", "apps", "expected"),
    [
        pytest.param(refuses(190, status=401), None, [doctor.TOKEN], id="token"),
        pytest.param(refuses(200, status=403), None, [doctor.TOKEN], id="permission"),
        pytest.param(refuses(100), None, [doctor.NUMBER], id="number"),
        pytest.param(refuses(2, status=500), None, [doctor.UNKNOWN], id="meta-stumbles"),
        pytest.param(says("<html>", status=502), None, [doctor.UNREACHABLE], id="html"),
        pytest.param(says([]), SUBSCRIBED, [doctor.UNKNOWN], id="odd-answer"),
        pytest.param(says(WELL), refuses(100), [doctor.ACCOUNT], id="account"),
        pytest.param(says(WELL), says({"data": []}), [doctor.NOT_SUBSCRIBED], id="not-subscribed"),
        pytest.param(says(WELL), says({}), [doctor.UNKNOWN], id="odd-list"),
        pytest.param(
            says(WELL | {"quality_rating": "RED", "name_status": "DECLINED"}),
            SUBSCRIBED,
            [doctor.NAME, doctor.QUALITY],
            id="quality-and-name",
        ),
        pytest.param(
            says(WELL | {"code_verification_status": "EXPIRED"}),
            SUBSCRIBED,
            [doctor.UNVERIFIED],
            id="unverified",
        ),
        pytest.param(
            says(WELL | {"health_status": {"can_send_message": "BLOCKED"}}),
            SUBSCRIBED,
            [doctor.HEALTH_BLOCKED],
            id="blocked",
        ),
        pytest.param(
            says(WELL | {"health_status": {"can_send_message": "LIMITED"}}),
            SUBSCRIBED,
            [doctor.HEALTH_LIMITED],
            id="limited",
        ),
    ],
)
async def test_each_trouble_has_its_finding(
    graph: Graph,
    stub: GraphStub,
    number: Answer,
    apps: Answer | None,
    expected: list[doctor.Finding],
) -> None:
    stub.script.extend([number] if apps is None else [number, apps])

    assert list(await doctor.examine(graph, SETTINGS)) == expected


async def test_without_a_network_meta_is_unreachable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with graph_at(url) as graph:
            assert await doctor.examine(graph, SETTINGS) == (doctor.UNREACHABLE,)
