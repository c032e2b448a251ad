"""Templates as Meta lists them: all pages, whatever stands in them, and never half of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.catalogue import LOCALES
from flows.dialog.templates import read_templates
from handlers.ports import Template
from handlers.whatsapp.client import Graph
from handlers.whatsapp.errors import GraphFault, MaybeSentError
from handlers.whatsapp.listing import PAGES_MAX, list_templates, templates_of
from handlers.whatsapp.publishing import creation, file_of, plan
from tests.handlers.whatsapp.graph_stub import Answer, GraphStub, refuses, says

OURS = read_templates(LOCALES)
ONE: dict[str, object] = {
    "id": "1",
    "name": "aviso",
    "language": "es-CL",
    "status": "APPROVED",
    "category": "UTILITY",
    "quality_score": {"score": "YELLOW", "date": 1},
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "{{x}}"},
        {"type": "body", "text": "Hola {{nombre}}, ven el {{ dia }}, {{nombre}}."},
    ],
}


def page(*data: object, after: str = "", more: bool = False) -> Answer:
    paging: dict[str, object] = {"cursors": {"before": "", "after": after}}
    return says({"data": list(data), "paging": paging | ({"next": "https://…"} if more else {})})


async def listed(graph: Graph) -> list[dict[str, object]]:
    return await list_templates(graph, "2001", "EAAG-token")


async def test_all_pages_are_read(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend([page({"n": 1}, after="a b", more=True), page({"n": 2}, "?", after="c")])

    assert await listed(graph) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says({"data": "?"}), id="no-list"),
        pytest.param(says("<html>", status=502), id="html"),
        pytest.param(says([]), id="no-object"),
    ],
)
async def test_half_a_list_is_none(graph: Graph, stub: GraphStub, answer: Answer) -> None:
    stub.script.extend([page({"n": 1}, after="a", more=True), answer])

    with pytest.raises(MaybeSentError):
        await listed(graph)


async def test_a_refusal_is_told(graph: Graph, stub: GraphStub) -> None:
    stub.script.append(refuses(190, status=401))

    with pytest.raises(GraphFault):
        await listed(graph)


async def test_a_list_that_does_not_end_is_given_up(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend(page(after=str(n), more=True) for n in range(PAGES_MAX))

    with pytest.raises(MaybeSentError):
        await listed(graph)


async def test_a_cursor_that_stands_still_ends_it(graph: Graph, stub: GraphStub) -> None:
    stub.script.extend([page({"n": 1}, after="a", more=True), page({"n": 2}, after="a", more=True)])

    assert await listed(graph) == [{"n": 1}, {"n": 2}]


def test_a_template_is_read_with_its_parameters_in_order() -> None:
    assert templates_of([ONE]) == [
        Template("aviso", "es_CL", "APPROVED", "utility", "YELLOW", ("nombre", "dia"))
    ]


def test_of_a_category_that_nobody_has_heard_of_the_strictest_rules_hold() -> None:
    [template] = templates_of([ONE | {"category": "SERENADE"}])

    assert template.category == "marketing"


@pytest.mark.parametrize("missing", ["name", "language", "status", "category"])
def test_what_is_no_template_is_passed_over(missing: str) -> None:
    assert templates_of([{key: ONE[key] for key in ONE if key != missing}]) == []


# ------------------------------------------------------------------ ours and theirs


@pytest.mark.parametrize("key", OURS.files, ids=lambda key: "-".join(key))
def test_a_file_goes_to_meta_and_comes_back(key: tuple[str, str]) -> None:
    file = OURS.files[key]
    sent = creation(*key, file)

    back = file_of(sent)

    assert not isinstance(back, str)
    assert (back.category, back.body, back.replies) == (file.category, file.body, file.replies)
    [planned] = [
        p for p in plan(OURS, [sent | {"status": "APPROVED"}]) if (p.name, p.locale) == key
    ]
    assert planned.step == "same"


anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(
        ["BODY", "BUTTONS", "FOOTER", "HEADER", "URL", "QUICK_REPLY", "AUTHENTICATION", "{{x}}"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *ONE,
                    "type",
                    "text",
                    "buttons",
                    "url",
                    "example",
                    "format",
                    "score",
                    "body_text_named_params",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(list(ONE)), anything, max_size=5))
def test_no_description_is_an_error(over: dict[str, object]) -> None:
    described = ONE | over

    assert len(templates_of([described, ONE])) >= 1
    plan(OURS, [described])
    file_of(described)
