"""The decision at the moment of sending: how things stand with the person now, and what Meta holds of the template."""

from dataclasses import replace

import pytest

from flows.dialog.content import Template
from flows.window import UNTIL_THEY_WRITE, Category, Terms, Window
from handlers.events import Refused
from handlers.ports import Again, Dead, Done, Doubt, Outcome, Standing
from handlers.whatsapp.faults import FAULTS, Reaction, fault_of
from handlers.whatsapp.serve import TEMPLATE_AGE_MS_MAX, TEMPLATE_REST_MS
from tests.handlers.whatsapp.doubles import CHANNEL
from tests.handlers.whatsapp.graph_stub import hangs_up, refuses
from tests.handlers.whatsapp.test_serve import (
    CODE,
    HOLA,
    ITEM,
    NOTICE,
    NOW,
    REF,
    Desk,
    desk,
    refused,
    say,
    sent,
)

__all__ = ["desk"]

OFFER = Template("lista_precios", "es_CL")
WILLING = Terms(answers=False, opted_in=True, marketing=True)


def stands(desk: Desk, terms: Terms = WILLING, *, wrote_at: int = 0) -> None:
    desk.people.is_so = Standing(Window(last_in=wrote_at), terms)


def why(outcome: Outcome) -> str:
    assert isinstance(outcome, Done | Dead)
    assert isinstance(outcome.event, Refused)
    return outcome.event.fault


# ------------------------------------------------------------------ free words


async def test_an_answer_in_an_open_window_asks_nobody(desk: Desk) -> None:
    assert await desk.sends() == sent()
    assert desk.people.asked == 0


async def test_who_wrote_after_the_message_was_decided_gets_it_freely(desk: Desk) -> None:
    stands(desk, wrote_at=NOW - 1_000)

    assert await desk.sends(open_until=NOW, instead=NOTICE) == sent()
    assert desk.posted_types() == ["text"]


async def test_a_window_that_has_closed_meanwhile_is_closed_for_the_firm_s_own_words(
    desk: Desk,
) -> None:
    """Meta may have said so since (131047): what the turn knew counts for answers alone."""
    stands(desk)

    assert await desk.sends(answers=False) == refused("window_closed", answers=False)


@pytest.mark.parametrize(
    ("answers", "why_not"),
    [pytest.param(True, "", id="an-answer"), pytest.param(False, "opted_out", id="a-nudge")],
)
async def test_stop_holds_for_what_already_waits_in_the_lane(
    desk: Desk, answers: bool, why_not: str
) -> None:
    stands(desk, Terms(opted_out=True), wrote_at=NOW)

    outcome = await desk.sends(answers=answers)

    assert outcome == (refused(why_not, answers=answers) if why_not else sent())
    assert len(desk.stub.posted) == (not why_not)


async def test_what_is_not_worth_saying_any_more_is_not_said(desk: Desk) -> None:
    assert await desk.sends(expires=NOW + 1) == sent()
    assert await desk.sends(expires=NOW) == refused("expired", expires=NOW)


async def test_what_says_how_long_it_is_worth_may_be_old(desk: Desk) -> None:
    desk.phonebook.has("aviso")
    desk.watch.passes(TEMPLATE_AGE_MS_MAX + 1)

    outcome = await desk.sends(content=NOTICE, expires=NOW + 2 * TEMPLATE_AGE_MS_MAX)

    assert outcome == sent(at=NOW + TEMPLATE_AGE_MS_MAX + 1, category="utility")


# ------------------------------------------------------------------ templates


@pytest.mark.parametrize(
    ("category", "terms", "fault"),
    [
        pytest.param("utility", WILLING, "", id="a notice with leave"),
        pytest.param("utility", Terms(), "no_consent", id="a notice without leave"),
        pytest.param("utility", replace(WILLING, opted_out=True), "opted_out", id="stopped"),
        pytest.param("utility", replace(WILLING, unreachable_until=NOW + 1), "unreachable", id="a dead number"),
        pytest.param("marketing", WILLING, "", id="an offer with consent"),
        pytest.param("marketing", replace(WILLING, marketing=False), "no_consent", id="an offer without"),
        pytest.param("marketing", replace(WILLING, offers_from=UNTIL_THEY_WRITE), "no_offers_now", id="an offer too soon"),
    ],
)  # fmt: skip
async def test_the_firm_s_own_templates_need_leave(
    desk: Desk, category: Category, terms: Terms, fault: str
) -> None:
    desk.phonebook.has("lista_precios", category)
    stands(desk, terms)

    outcome = await desk.sends(content=OFFER, answers=False)

    assert outcome == (
        refused(fault, content=OFFER, answers=False) if fault else sent(category=category)
    )
    assert len(desk.stub.posted) == (not fault)


@pytest.mark.parametrize("status", ["PAUSED", "DISABLED", "REJECTED", "PENDING"])
async def test_a_template_that_meta_does_not_let_out_is_not_tried(desk: Desk, status: str) -> None:
    desk.phonebook.has("aviso", status=status)

    assert why(await desk.sends(content=NOTICE)) == "template_unusable"
    assert why(await desk.sends(open_until=0, instead=NOTICE)) == "window_closed"
    assert desk.stub.posted == []


@pytest.mark.parametrize("answers", [True, False])
async def test_a_template_that_nobody_knows_may_answer_and_nothing_else(
    desk: Desk, answers: bool
) -> None:
    """It may be an offer."""
    stands(desk)

    outcome = await desk.sends(content=NOTICE, answers=answers)

    expected = refused("template_unusable", content=NOTICE, answers=False)
    assert outcome == (sent(category="utility") if answers else expected)


async def test_a_code_that_was_asked_for_passes_a_stop(desk: Desk) -> None:
    stands(desk, Terms(opted_out=True))

    assert await desk.sends(content=CODE, once=True) == sent(category="authentication")


async def test_an_offer_is_no_answer_to_a_closed_window(desk: Desk) -> None:
    """Recategorised by Meta: what stood in for an answer became an offer."""
    desk.phonebook.has("aviso", "marketing")

    assert why(await desk.sends(open_until=0, instead=NOTICE)) == "window_closed"


async def test_a_template_that_meta_refused_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.phonebook.has("aviso")
    desk.stub.script.append(refuses(132015))

    outcomes = [why(await desk.sends(content=NOTICE)) for _ in range(2)]
    desk.watch.passes(TEMPLATE_REST_MS)

    assert outcomes == ["template_paused", "template_unusable"]
    assert await desk.sends(content=NOTICE) == sent(at=NOW + TEMPLATE_REST_MS, category="utility")
    assert desk.carer.examined == [CHANNEL]


# ------------------------------------------------------------------ Meta knows better


async def test_a_template_in_place_of_what_meta_refused_tells_the_conversation(desk: Desk) -> None:
    desk.stub.script.append(refuses(131047))

    outcome = await desk.sends(instead=NOTICE)

    event = Refused(
        ref=REF,
        fault="window_closed",
        code=131047,
        item=ITEM,
        say=say(instead=NOTICE),
        replaced=True,
    )
    assert outcome == Done(records=sent(left_as=NOTICE, category="utility").records, event=event)


async def test_a_template_that_may_not_go_does_not_go_in_its_place(desk: Desk) -> None:
    desk.phonebook.has("aviso", status="PAUSED")
    desk.stub.script.append(refuses(131047))

    assert await desk.sends(instead=NOTICE) == refused("window_closed", code=131047, instead=NOTICE)
    assert desk.posted_types() == ["text"]


async def test_a_template_in_doubt_is_in_doubt(desk: Desk) -> None:
    desk.stub.script.extend([refuses(131047), hangs_up])

    assert isinstance(await desk.sends(instead=NOTICE), Doubt)


async def test_what_a_wrong_template_stood_for_waits_and_no_dead_letter_says_it_again(
    desk: Desk,
) -> None:
    desk.stub.script.append(refuses(132000))
    over = {"content": NOTICE, "stands_for": (HOLA,)}

    assert await desk.sends(**over) == refused("template", code=132000, said=say(**over))


async def test_a_knock_that_the_firm_has_no_template_for_is_no_dead_letter(desk: Desk) -> None:
    desk.stub.script.append(refuses(132001))

    outcome = await desk.sends(content=NOTICE, once=True)

    assert outcome == refused("template", code=132001, content=NOTICE, once=True)


@pytest.mark.parametrize("code", [131048, 131064])
async def test_a_number_that_meta_warns_rests_from_its_own_initiative_and_still_answers(
    desk: Desk, code: int
) -> None:
    desk.phonebook.has("aviso")
    stands(desk)
    desk.stub.script.append(refuses(code))

    faults = [why(await desk.sends(content=NOTICE, answers=False)) for _ in range(2)]

    assert faults == [fault_of(code).name] * 2
    assert len(desk.stub.posted) == 1
    assert await desk.sends() == sent()
    desk.watch.passes(fault_of(code).halts_s * 1000)
    assert isinstance(await desk.sends(content=NOTICE, answers=False), Done)
    assert len(desk.stub.posted) == 3


# ------------------------------------------------------------------ every code, at once


@pytest.mark.parametrize("code", [*FAULTS, 250, 133005, 138005, 139100, 147003, 2_388_047, 136025])
async def test_every_code_has_one_reaction_when_it_is_the_answer(desk: Desk, code: int) -> None:
    desk.phonebook.has("aviso")
    stands(desk, wrote_at=NOW)
    desk.stub.script.append(refuses(code))

    outcome = await desk.sends(content=NOTICE, answers=False, open_until=0)

    fault = fault_of(code)
    shown = desk.counts.counted["whatsapp_fault", fault.name]
    assert (shown, len(desk.stub.posted)) == (1, 1)
    match fault.reaction:
        case Reaction.RETRY | Reaction.PAIR:
            assert outcome == Again(1_000, fault.name)
        case Reaction.PAUSE:
            assert isinstance(outcome, Again)
            assert (outcome.why, outcome.counts) == (fault.name, False)
        case Reaction.WINDOW | Reaction.REFUSE:
            assert isinstance(outcome, Done)
            assert why(outcome) == fault.name
        case Reaction.DEAD:
            assert isinstance(outcome, Dead)
            assert why(outcome) == fault.name
