"""The service window: free words for 24 hours, templates after, silence for those who asked for it."""

from dataclasses import replace
from typing import get_args

import pytest

from flows.dialog.events import HeardKind
from flows.window import (
    MARGIN_MS,
    OPENING,
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
    heard_at,
    is_free,
    may_knock,
    open_until,
    refuse_template,
)

HOUR = 3600 * 1000
DAY = 24 * HOUR
WROTE = 1_780_000_000_000
OPEN = Window(last_in=WROTE)
CLOSED_AT = WROTE + 24 * HOUR
REPLY = Rescue("documento_listo")
KNOCK = Rescue("retomar_atencion", reopens=True)
OFFER = Rescue("lista_precios", category="marketing")
PAUSED = Rescue("documento_listo", approved=False)
CODE = Rescue("codigo_ingreso", category="authentication")
OWN = Terms(answers=False)
WILLING = Terms(answers=False, opted_in=True, marketing=True)


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
        pytest.param(PAUSED, Terms(answers=False, opted_in=True), Refuse(Reason.TEMPLATE_UNUSABLE), id="nobody waits for it: refuse"),
        pytest.param(REPLY, Terms(opted_out=True), Park(), id="an answer waits for who opted out"),
        pytest.param(REPLY, Terms(answers=False, opted_out=True), Refuse(Reason.OPTED_OUT), id="opted out"),
        pytest.param(REPLY, OWN, Refuse(Reason.NO_CONSENT), id="nobody asked for it, nobody allowed it"),
        pytest.param(REPLY, Terms(answers=False, opted_in=True), SendTemplate("documento_listo"), id="a notice with leave"),
        pytest.param(OFFER, Terms(answers=False, opted_in=True), Refuse(Reason.NO_CONSENT), id="an offer without consent"),
        pytest.param(OFFER, Terms(answers=False, marketing=True), SendTemplate("lista_precios"), id="an offer with consent"),
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
    ],
)
def test_inside_the_window_who_opted_out_is_still_answered(
    terms: Terms, decision: Decision
) -> None:
    assert decide(OPEN, WROTE, rescue=REPLY, terms=terms) == decision


@pytest.mark.parametrize(
    ("template", "terms", "reason"),
    [
        pytest.param(CODE, Terms(opted_out=True), None, id="a code that was asked for"),
        pytest.param(REPLY, Terms(opted_out=True), Reason.OPTED_OUT, id="a notice"),
        pytest.param(OFFER, Terms(), Reason.NO_CONSENT, id="an offer"),
        pytest.param(OFFER, WILLING, None, id="an offer to who wants them"),
        pytest.param(OFFER, replace(WILLING, offers_from=WROTE), None, id="an offer after Meta's rest"),
        pytest.param(OFFER, replace(WILLING, offers_from=WROTE + 1), Reason.NO_OFFERS_NOW, id="an offer too soon"),
        pytest.param(REPLY, replace(WILLING, offers_from=WROTE + 1), None, id="a notice is no offer"),
        pytest.param(REPLY, replace(WILLING, unreachable_until=WROTE), None, id="a new try at a dead number"),
        pytest.param(REPLY, replace(WILLING, unreachable_until=WROTE + 1), Reason.UNREACHABLE, id="a dead number"),
        pytest.param(REPLY, Terms(unreachable_until=WROTE + 1), None, id="an answer is tried all the same"),
        pytest.param(PAUSED, Terms(), Reason.TEMPLATE_UNUSABLE, id="a paused one"),
        pytest.param(REPLY, Terms(), None, id="an answer"),
        pytest.param(REPLY, Terms(answers=False), Reason.NO_CONSENT, id="a notice without leave"),
        pytest.param(REPLY, WILLING, None, id="a notice to who allows it"),
    ],
)  # fmt: skip
def test_which_templates_may_go_out(template: Rescue, terms: Terms, reason: Reason | None) -> None:
    refusal = refuse_template(template, WROTE, window=OPEN, terms=terms)

    assert refusal == (None if reason is None else Refuse(reason))


@pytest.mark.parametrize(
    ("at", "received_ms", "heard"),
    [
        pytest.param(1_000, 1_002_500, 1_000, id="a moment on the way"),
        pytest.param(1_000, 90_000_000, 1_000, id="a webhook that comes a day late opens nothing anew"),
        pytest.param(1_060, 1_002_500, 1_002, id="Meta's clock is a minute ahead"),
        pytest.param(2**40, 1_002_500, 1_002, id="an absurd timestamp"),
        pytest.param(1_000, 0, 1_000, id="it is not known when we took it"),
    ],
)  # fmt: skip
def test_nobody_wrote_later_than_we_heard_of_it(at: int, received_ms: int, heard: int) -> None:
    assert heard_at(at, received_ms) == heard


@pytest.mark.parametrize(
    ("knocked", "every_ms", "may"),
    [
        pytest.param(0, 7 * DAY, True, id="never yet"),
        pytest.param(WROTE - 7 * DAY + 1, 7 * DAY, False, id="lately"),
        pytest.param(WROTE - 7 * DAY, 7 * DAY, True, id="a week ago"),
        pytest.param(0, 0, False, id="the firm does not knock"),
    ],
)
def test_people_are_not_asked_to_tap_again_and_again(
    knocked: int, every_ms: int, may: bool
) -> None:
    assert may_knock(WROTE, knocked=knocked, every_ms=every_ms) is may


def test_reactions_and_notices_of_the_system_open_nothing() -> None:
    assert set(get_args(HeardKind)) - OPENING == {"edit", "reaction", "revoke", "system"}


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
