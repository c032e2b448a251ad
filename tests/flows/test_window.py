"""The service window: free words for 24 hours, templates after, silence for those who asked for it."""

import pytest

from flows.window import (
    MARGIN_MS,
    Decision,
    Park,
    Reason,
    Refuse,
    Rescue,
    Send,
    SendTemplate,
    Terms,
    Window,
    decide,
    free_until,
    is_free,
    open_until,
    refuse_template,
)

HOUR = 3600 * 1000
WROTE = 1_780_000_000_000
OPEN = Window(last_in=WROTE)
CLOSED_AT = WROTE + 24 * HOUR
REPLY = Rescue("documento_listo")
KNOCK = Rescue("retomar_atencion", reopens=True)
OFFER = Rescue("lista_precios", category="marketing")
PAUSED = Rescue("documento_listo", approved=False)
OWN = Terms(answers=False)


@pytest.mark.parametrize(
    ("now", "decision"),
    [
        pytest.param(WROTE, Send(), id="at once"),
        pytest.param(CLOSED_AT - MARGIN_MS - 1, Send(), id="the last moment before the margin"),
        pytest.param(CLOSED_AT - MARGIN_MS, Park(), id="the margin begins"),
        pytest.param(CLOSED_AT - 1, Park(), id="inside the margin"),
        pytest.param(CLOSED_AT, Park(), id="24 hours"),
        pytest.param(CLOSED_AT + HOUR, Park(), id="an hour late"),
    ],
)
def test_free_words_leave_until_the_margin(now: int, decision: Decision) -> None:
    assert decide(OPEN, now) == decision


def test_somebody_who_never_wrote_has_no_window() -> None:
    assert open_until(Window()) == 0
    assert decide(Window(), WROTE) == Park()


def test_the_margin_is_between_two_and_five_minutes() -> None:
    assert 2 * 60_000 <= MARGIN_MS <= 5 * 60_000


@pytest.mark.parametrize(
    ("rescue", "terms", "decision"),
    [
        pytest.param(REPLY, Terms(), SendTemplate("documento_listo"), id="the template takes its place"),
        pytest.param(KNOCK, Terms(), Park(knock="retomar_atencion"), id="one knock, the message waits"),
        pytest.param(PAUSED, Terms(), Park(), id="a paused template is no help: wait"),
        pytest.param(PAUSED, OWN, Refuse(Reason.TEMPLATE_UNUSABLE), id="nobody waits for it: refuse"),
        pytest.param(REPLY, Terms(opted_out=True), Park(), id="an answer waits for who opted out"),
        pytest.param(REPLY, Terms(answers=False, opted_out=True), Refuse(Reason.OPTED_OUT), id="opted out"),
        pytest.param(OFFER, OWN, Refuse(Reason.NO_CONSENT), id="an offer without consent"),
        pytest.param(OFFER, Terms(answers=False, marketing=True), SendTemplate("lista_precios"), id="an offer with consent"),
        pytest.param(REPLY, Terms(budget_left=False), Refuse(Reason.BUDGET_SPENT), id="no budget"),
    ],
)  # fmt: skip
def test_after_the_window(rescue: Rescue, terms: Terms, decision: Decision) -> None:
    assert decide(OPEN, CLOSED_AT, rescue=rescue, terms=terms) == decision


@pytest.mark.parametrize(
    ("terms", "decision"),
    [
        pytest.param(Terms(opted_out=True), Send(), id="an answer to who opted out"),
        pytest.param(
            Terms(answers=False, opted_out=True), Refuse(Reason.OPTED_OUT), id="our own initiative"
        ),
        pytest.param(Terms(budget_left=False), Refuse(Reason.BUDGET_SPENT), id="no budget"),
    ],
)
def test_inside_the_window_who_opted_out_is_still_answered(
    terms: Terms, decision: Decision
) -> None:
    assert decide(OPEN, WROTE, rescue=REPLY, terms=terms) == decision


@pytest.mark.parametrize(
    ("template", "terms", "refusal"),
    [
        pytest.param(Rescue("codigo_ingreso", category="authentication"), Terms(opted_out=True), None, id="a code that was asked for"),
        pytest.param(REPLY, Terms(opted_out=True), Refuse(Reason.OPTED_OUT), id="a notice"),
        pytest.param(OFFER, Terms(), Refuse(Reason.NO_CONSENT), id="an offer"),
        pytest.param(PAUSED, Terms(), Refuse(Reason.TEMPLATE_UNUSABLE), id="a paused one"),
        pytest.param(REPLY, Terms(budget_left=False), Refuse(Reason.BUDGET_SPENT), id="no budget"),
        pytest.param(REPLY, Terms(), None, id="a notice to who allows it"),
    ],
)  # fmt: skip
def test_which_templates_may_go_out(template: Rescue, terms: Terms, refusal: Refuse | None) -> None:
    assert refuse_template(template, terms=terms) == refusal


@pytest.mark.parametrize(
    ("answered", "until"),
    [
        pytest.param(WROTE + HOUR, WROTE + 73 * HOUR, id="72 hours from our answer"),
        pytest.param(CLOSED_AT - 1, CLOSED_AT - 1 + 72 * HOUR, id="at the last moment"),
        pytest.param(CLOSED_AT, 0, id="too late"),
    ],
)
def test_a_free_entry_point_runs_from_our_answer(answered: int, until: int) -> None:
    assert free_until(first_answer=answered, came_at=WROTE) == until


def test_a_free_entry_point_opens_nothing() -> None:
    entered = Window(last_in=WROTE, free_until=WROTE + 72 * HOUR)

    assert decide(entered, WROTE + 25 * HOUR) == Park()
    assert is_free(entered, WROTE + 25 * HOUR)
    assert not is_free(entered, WROTE + 72 * HOUR - MARGIN_MS)
