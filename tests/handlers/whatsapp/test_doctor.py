"""The doctor finds what keeps a number from sending or hearing."""

import socket

import pytest

from handlers.whatsapp import doctor
from handlers.whatsapp.client import Graph
from tests.handlers.whatsapp.doubles import TOKEN, Phonebook
from tests.handlers.whatsapp.graph_stub import Answer, GraphStub, graph_at, refuses, says

[CHANNEL] = Phonebook().channels.values()
WELL = {
    "id": "106540352242922",
    "quality_rating": "GREEN",
    "code_verification_status": "VERIFIED",
    "name_status": "APPROVED",
    "health_status": {"can_send_message": "AVAILABLE", "entities": []},
    "throughput": {"level": "STANDARD"},
}
NOW = 1_795_392_000_000
DAY = 86_400
SUBSCRIBED = says({"data": [{"whatsapp_business_api_data": {"id": "1"}}]})
MORE = says({"whatsapp_business_manager_messaging_limit": "TIER_2K", "is_pin_enabled": True})
SOUND = {
    "app_id": "1",
    "type": "SYSTEM_USER",
    "is_valid": True,
    "expires_at": 0,
    "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"],
}
UNSEEN = refuses(100)
"""Meta lets not every token be looked at."""


def tells(**over: object) -> Answer:
    return says({"data": SOUND | over})


async def examined(graph: Graph) -> doctor.Report:
    return await doctor.examine(graph, CHANNEL, TOKEN, now_ms=NOW)


async def test_a_healthy_number_has_no_findings(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend([says(WELL), MORE, tells(), SUBSCRIBED])

    assert await examined(graph) == doctor.Report(
        findings=(),
        quality="GREEN",
        tier="TIER_2K",
        throughput="STANDARD",
        name_status="APPROVED",
        can_send="AVAILABLE",
        token_kind="SYSTEM_USER",
        complete=True,
    )


async def test_what_meta_does_not_tell_is_no_finding(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend([says({"id": "1"}), UNSEEN, UNSEEN, SUBSCRIBED])

    assert await examined(graph) == doctor.Report(findings=(), complete=True)


@pytest.mark.parametrize(
    ("number", "apps", "expected"),
    [
        pytest.param(refuses(190, status=401), None, [doctor.TOKEN], id="token"),
        pytest.param(refuses(200, status=403), None, [doctor.TOKEN], id="permission"),
        pytest.param(refuses(100), None, [doctor.NUMBER], id="number"),
        pytest.param(refuses(2, status=500), None, [doctor.UNKNOWN], id="meta-stumbles"),
        pytest.param(says("<html>", status=502), None, [doctor.UNREACHABLE], id="html"),
        pytest.param(says([]), None, [doctor.UNKNOWN], id="odd-answer"),
        pytest.param(says(WELL), refuses(100), [doctor.ACCOUNT], id="account"),
        pytest.param(says(WELL), says({"data": []}), [doctor.NOT_SUBSCRIBED], id="not-subscribed"),
        pytest.param(says(WELL), says({}), [doctor.UNKNOWN], id="odd-list"),
        pytest.param(
            says(WELL),
            says({"data": [{"whatsapp_business_api_data": {"id": "2"}}]}),
            [doctor.NOT_SUBSCRIBED],
            id="another-app",
        ),
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
        pytest.param(says(WELL | {"is_pin_enabled": False}), SUBSCRIBED, [doctor.NO_PIN], id="pin"),
    ],
)
async def test_each_trouble_has_its_finding(
    graph: Graph,
    stub: GraphStub,
    number: Answer,
    apps: Answer | None,
    expected: list[doctor.Finding],
) -> None:
    stub.script.extend([number] if apps is None else [number, UNSEEN, tells(), apps])

    report = await examined(graph)

    assert list(report.findings) == expected
    assert all(finding.mend for finding in report.findings)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(tells(type="USER"), [doctor.TOKEN_KIND], id="of-a-person"),
        pytest.param(
            tells(expires_at=NOW // 1000 + 13 * DAY), [doctor.TOKEN_EXPIRES], id="ends-soon"
        ),
        pytest.param(tells(expires_at=NOW // 1000 + 15 * DAY), [], id="ends-later"),
        pytest.param(
            tells(scopes=["whatsapp_business_messaging"]), [doctor.TOKEN_SCOPE], id="scope"
        ),
        pytest.param(says({"data": "?"}), [], id="odd"),
        pytest.param(says("<html>", status=502), [], id="html"),
    ],
)
async def test_the_token_is_looked_at(
    graph: Graph, stub: GraphStub, token: Answer, expected: list[doctor.Finding]
) -> None:
    stub.script.extend([says(WELL), MORE, token, SUBSCRIBED])

    assert list((await examined(graph)).findings) == expected


async def test_meta_s_reasons_are_told_as_codes(graph: Graph, stub: GraphStub) -> None:
    entities = [
        {"entity_type": "PHONE_NUMBER", "can_send_message": "AVAILABLE"},
        {
            "entity_type": "BUSINESS",
            "can_send_message": "BLOCKED",
            "errors": [{"error_code": 141006, "error_description": "…"}, "?"],
        },
        "?",
    ]
    ill = WELL | {"health_status": {"can_send_message": "BLOCKED", "entities": entities}}
    stub.script.extend([says(ill), MORE, tells(), SUBSCRIBED])

    report = await examined(graph)

    assert report.why == ("BUSINESS 141006",)
    assert report.blocked


async def test_without_a_network_meta_is_unreachable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with graph_at(url) as graph:
            assert (await examined(graph)).findings == (doctor.UNREACHABLE,)


@pytest.mark.parametrize("token", ["", "EAAG copied", "EAAG\n", "EAAGñ"])
async def test_a_token_that_cannot_be_one_is_not_sent(
    graph: Graph, stub: GraphStub, token: str
) -> None:
    report = await doctor.examine(graph, CHANNEL, token, now_ms=NOW)

    assert report.findings == (doctor.TOKEN,)
