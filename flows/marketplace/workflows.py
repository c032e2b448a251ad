"""Reads the n8n workflows of the marketplace, and says why n8n would refuse one or what it would let through.

They are as n8n's API takes them: four fields, no credentials, no secrets, no addresses. Each is told by a post that is
signed as ours are, and checks that before anything else. Source: n8n 1.121, measured.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from flows.intents import FIRM_INTENTS, Intent, name_of

WEBHOOK: Final = "n8n-nodes-base.webhook"
CODE: Final = "n8n-nodes-base.code"
IF: Final = "n8n-nodes-base.if"
REQUEST: Final = "n8n-nodes-base.httpRequest"
RESPOND: Final = "n8n-nodes-base.respondToWebhook"
KINDS: Final[Mapping[str, float]] = {WEBHOOK: 2, CODE: 2, IF: 2.2, REQUEST: 4.2, RESPOND: 1.1}
"""What a workflow is made of, and the version of it that was run."""
NAME_BEGINS: Final = "SmarterBot: "
NAME_MAX: Final = 128  # n8n's
TRIES: Final = range(2, 6)
WAIT_MS_MAX: Final = 5_000
GENUINE: Final = "={{ $json.genuine }}"
MESSAGES: Final = "={{ $env.SMARTERBOT_URL }}/v1/messages"
REPEATED: Final = {"name": "Idempotency-Key", "value": "={{ $json.id }}"}
REFUSED: Final = 401

_SECRET = re.compile(
    r"whsec_\w|\bBearer\s+[\w.-]{8}|\b(?:sk|sbk|pk|ghp|xox[abp])[-_]\w{8}|\bEAA\w{16}|(?<![\w$.])(?=\w*\d)(?=\w*[A-Za-z])\w{32,}"
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"\w+://")
_MESSAGE = re.compile(r"\bmessage: \{([^{}]*)\}")
_FIELD = re.compile(r"(?:^|,)\s*(\w+): ")
_INTENT = re.compile(r'\bintent: "(\w+)"')
_PURPOSE = re.compile(r'\bpurpose: "(\w+)"')


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """To which node an output leads."""

    node: str
    type: Literal["main"]
    index: Literal[0]


class Node(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One step. Without `credentials`: they are of one n8n, and made there."""

    id: str
    name: str
    type: str
    type_version: float
    position: tuple[int, int]
    parameters: dict[str, Any]
    webhook_id: str = ""
    retry_on_fail: bool = False
    max_tries: int = 3
    wait_between_tries: int = 1_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    execution_order: Literal["v1"]


class Workflow(Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /api/v1/workflows` takes; with any other field it answers 400."""

    name: str
    nodes: tuple[Node, ...]
    connections: dict[str, dict[Literal["main"], tuple[tuple[Link, ...], ...]]]
    settings: Settings

    def after(self, name: str) -> tuple[tuple[str, ...], ...]:
        """For each output of a node the nodes that it leads to."""
        outputs = self.connections.get(name, {}).get("main", ())
        return tuple(tuple(link.node for link in output) for output in outputs)


read_workflow: Final = msgspec.json.Decoder(Workflow).decode


def workflow_problems(
    workflow: Workflow, *, path: str, signature: str, templates: Sequence[str]
) -> Iterator[str]:
    """What is wrong with a workflow.

    Args:
        path: of its webhook; two workflows with one path switch each other off.
        signature: the code that checks who posted.
        templates: the message templates that its marketplace template brings.
    """
    if not workflow.name.startswith(NAME_BEGINS) or len(workflow.name) > NAME_MAX:
        yield f"name: begins with “{NAME_BEGINS}” and has up to {NAME_MAX} characters"
    for field in ("name", "id"):
        values = [getattr(node, field) for node in workflow.nodes]
        for value in sorted({value for value in values if not value or values.count(value) > 1}):
            yield f"nodes: the {field} “{value}” is empty or not the only one"
    for node in workflow.nodes:
        for problem in _node_problems(node, path=path, signature=signature, templates=templates):
            yield f"nodes.{node.name}: {problem}"
    yield from _way_problems(workflow)


# ------------------------------------------------------------------ one node


def _node_problems(
    node: Node, *, path: str, signature: str, templates: Sequence[str]
) -> Iterator[str]:
    if node.type not in KINDS:
        yield f"type: {node.type} is none of {', '.join(KINDS)}"
        return
    if node.type_version != KINDS[node.type]:
        yield f"typeVersion: {KINDS[node.type]} is expected"
    if node.max_tries not in TRIES or not 0 <= node.wait_between_tries <= WAIT_MS_MAX:
        yield f"maxTries, waitBetweenTries: {TRIES[0]} to {TRIES[-1]}, and up to {WAIT_MS_MAX} ms"
    if node.type == CODE:
        if node.parameters != {"jsCode": signature}:
            yield "parameters: the code is not that of signature.js"
        return
    for words in _strings(node.parameters):
        if _SECRET.search(words):
            yield "parameters: hold what looks like a secret; it belongs into n8n's credentials"
        if _ADDRESS.search(words):
            yield "parameters: name an address; take it from $env"
    if node.type == WEBHOOK:
        yield from _webhook_problems(node, path)
    elif node.type == REQUEST:
        yield from _request_problems(node.parameters, templates)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from _strings(each)
        case list():
            for each in value:
                yield from _strings(each)
        case _:
            return


def _webhook_problems(node: Node, path: str) -> Iterator[str]:
    if not _ID.fullmatch(node.webhook_id):
        yield "webhookId: a UUID is expected; without one n8n does not serve the path as it stands"
    parameters = node.parameters
    # The raw body is what was signed; the answer says whether the event was taken.
    expected = {
        "httpMethod": "POST",
        "path": path,
        "responseMode": "responseNode",
        "options": {"rawBody": True},
    }
    for field, value in expected.items():
        if parameters.get(field) != value:
            yield f"parameters.{field}: {msgspec.json.encode(value).decode()} is expected"
    for field in sorted(set(parameters) - set(expected)):
        yield f"parameters.{field}: has no place here"


def _request_problems(parameters: Mapping[str, Any], templates: Sequence[str]) -> Iterator[str]:
    expected: dict[str, Any] = {
        "method": "POST",
        "url": MESSAGES,
        "authentication": "genericCredentialType",
        "genericAuthType": "httpBearerAuth",
        "sendHeaders": True,
        "headerParameters": {"parameters": [REPEATED]},
        "sendBody": True,
        "specifyBody": "json",
        "options": {},
    }
    for field, value in expected.items():
        if parameters.get(field) != value:
            yield f"parameters.{field}: {msgspec.json.encode(value).decode()} is expected"
    for field in sorted(set(parameters) - {*expected, "jsonBody"}):
        yield f"parameters.{field}: has no place here"
    yield from _message_problems(str(parameters.get("jsonBody", "")), templates)


def _message_problems(body: str, templates: Sequence[str]) -> Iterator[str]:
    """Whether our API would take the message."""
    message = _MESSAGE.search(body)
    named = _INTENT.search(message[1]) if message else None
    if message is None or named is None:
        yield "parameters.jsonBody: has no message: { intent: … }"
        return
    kinds: dict[str, type[Intent]] = {name_of(kind): kind for kind in FIRM_INTENTS}
    kind = kinds.get(named[1])
    if kind is None:
        yield f"parameters.jsonBody: there is no intent {named[1]}; there are {', '.join(kinds)}"
        return
    taken = sorted(kind.__struct_fields__)
    if sorted({*_FIELD.findall(message[1])} - {"intent"}) != taken:
        yield f"parameters.jsonBody: {named[1]} takes {', '.join(taken)}"
    if kind.template not in templates:
        yield f"parameters.jsonBody: {named[1]} needs {kind.template}, which templates does not name"
    purpose = "marketing" if kind.category == "marketing" else "notices"
    if _PURPOSE.findall(body) != [purpose]:
        yield f"parameters.jsonBody: the permission's purpose is {purpose}"


# ------------------------------------------------------------------ the way through them


def _way_problems(workflow: Workflow) -> Iterator[str]:
    nodes = {node.name: node for node in workflow.nodes}
    links = [
        (source, target)
        for source in workflow.connections
        for output in workflow.after(source)
        for target in output
    ]
    unknown = sorted({name for link in links for name in link} - set(nodes))
    unknown += sorted(set(workflow.connections) - set(nodes) - set(unknown))
    for name in unknown:
        yield f"connections: there is no node “{name}”"
    triggers = [node for node in workflow.nodes if node.type == WEBHOOK]
    if len(triggers) != 1:
        yield f"nodes: one webhook is expected, there are {len(triggers)}"
    if unknown or len(triggers) != 1:
        return
    seen = _reached(triggers[0].name, links)
    for name in nodes:
        if name not in seen:
            yield f"nodes.{name}: nothing leads to it"
        ends = not any(workflow.after(name))
        if ends != (nodes[name].type == RESPOND):
            yield f"nodes.{name}: an answer ends the workflow, and nothing else does"
    yield from _guard_problems(workflow, triggers[0], nodes)


def _reached(start: str, links: Sequence[tuple[str, str]]) -> set[str]:
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        ahead = {target for source, target in links if source == here} - seen
        seen |= ahead
        todo += ahead
    return seen


def _guard_problems(workflow: Workflow, trigger: Node, nodes: Mapping[str, Node]) -> Iterator[str]:
    """Nothing happens before the signature was found to be right."""
    first = workflow.after(trigger.name)
    check = nodes[first[0][0]] if len(first) == 1 and len(first[0]) == 1 else None
    second = workflow.after(check.name) if check is not None and check.type == CODE else ()
    gate = nodes[second[0][0]] if len(second) == 1 and len(second[0]) == 1 else None
    if gate is None or gate.type != IF:
        yield f"connections.{trigger.name}: the signature is checked first, by signature.js and an if"
        return
    conditions = gate.parameters.get("conditions", {}).get("conditions", [])
    asked = [(each.get("leftValue"), each.get("operator")) for each in conditions]
    if asked != [(GENUINE, {"type": "boolean", "operation": "true", "singleValue": True})]:
        yield f"nodes.{gate.name}: asks whether {GENUINE}, and nothing else"
    into = [source for source in nodes for output in workflow.after(source) if gate.name in output]
    ways = workflow.after(gate.name)
    refusal = nodes[ways[1][0]] if len(ways) == 2 and len(ways[1]) == 1 else None
    code = refusal.parameters.get("options", {}).get("responseCode") if refusal else None
    if refusal is None or refusal.type != RESPOND or code != REFUSED or len(into) != 1:
        yield f"connections.{gate.name}: what is not genuine is answered with {REFUSED}"
