"""Applying a template: what it writes, what it leaves to the owner, and that a second time changes nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from flows.catalogue import LOCALES
from flows.customer.shop import shop_of
from flows.dialog.ctx import Firm
from flows.dialog.templates import read_templates
from flows.marketplace.applying import RECORD, Applied, ApplyError, Plan, applied_to, plan_template
from flows.marketplace.market import MARKETPLACE, Template, read_market
from flows.values.ids import TenantId

TEMPLATES = read_market(MARKETPLACE, read_templates(LOCALES)).templates
HOURS, ORDERS = TEMPLATES["horas"], TEMPLATES["pedidos"]
NEWER = with_fields(HOURS, version=2, texts={"greeting": {"es_CL": "Pide tu hora aquí."}})
FIRM = Firm(TenantId("t"), "Peluquería Norte", settings={"address": "Calle 1"})


def told(firm: Firm, **settings: str) -> Firm:
    """The firm after somebody set these; empty unsets."""
    after = {**firm.settings, **settings}
    return replace(firm, settings={key: value for key, value in after.items() if value})


def applied(
    firm: Firm, id: str = "horas", template: Template = HOURS, *, force: bool = False
) -> Firm:
    return told(firm, **plan_template(id, template, firm, force=force).writes)


def steps(plan: Plan) -> dict[str, str]:
    return {change.key: change.step for change in plan.changes}


def test_a_new_firm_gets_all_of_it() -> None:
    firm = applied(FIRM)

    assert shop_of(firm).menu == HOURS.menu
    assert firm.settings["greeting"] == HOURS.texts["greeting"]["es_CL"]
    assert firm.settings["address"] == "Calle 1"
    assert applied_to(firm.settings) == Applied("horas", 1, HOURS.settings("es_CL"))


def test_a_firm_is_given_its_own_language() -> None:
    assert applied(replace(FIRM, locale="en")).settings["greeting"].startswith("Here you can book")


def test_a_second_time_writes_nothing() -> None:
    plan = plan_template("horas", HOURS, applied(FIRM))

    assert plan.writes == {}
    assert set(steps(plan).values()) == {"same"}


@pytest.mark.parametrize("words", ["Mi saludo.", ""], ids=["set", "unset"])
def test_what_the_owner_set_by_hand_stays(words: str) -> None:
    by_hand = told(applied(FIRM), greeting=words)

    plan = plan_template("horas", NEWER, by_hand)

    assert steps(plan) == {"greeting": "kept", "menu": "same"}
    assert applied(by_hand, template=NEWER).settings.get("greeting", "") == words
    assert (
        applied(applied(by_hand, template=NEWER), template=NEWER).settings.get("greeting", "")
        == words
    )


def test_what_was_there_before_stays() -> None:
    firm = told(FIRM, greeting="Mi saludo.")

    assert steps(plan_template("horas", HOURS, firm)) == {"greeting": "kept", "menu": "set"}


def test_what_the_owner_had_chosen_themselves_stays_theirs() -> None:
    firm = applied(told(FIRM, greeting=HOURS.settings("es_CL")["greeting"]))

    assert steps(plan_template("horas", NEWER, firm))["greeting"] == "kept"


def test_what_nobody_touched_follows_the_template() -> None:
    firm = applied(applied(FIRM), template=NEWER)

    assert firm.settings["greeting"] == "Pide tu hora aquí."
    assert applied_to(firm.settings) == Applied("horas", 2, NEWER.settings("es_CL"))


def test_force_writes_over_the_owner_and_goes_on_from_there() -> None:
    forced = applied(told(applied(FIRM), greeting="Mi saludo."), force=True)

    assert forced == applied(FIRM)
    assert plan_template("horas", HOURS, forced, force=True).writes == {}
    assert steps(plan_template("horas", NEWER, forced))["greeting"] == "change"


def test_another_template_takes_the_place_of_the_first() -> None:
    firm = applied(applied(FIRM), "pedidos", ORDERS)

    assert shop_of(firm).menu == ORDERS.menu
    assert applied_to(firm.settings) == Applied("pedidos", 1, ORDERS.settings("es_CL"))


def test_what_a_template_sets_no_more_is_unset_unless_the_owner_changed_it() -> None:
    without = with_fields(HOURS, version=2, texts={})

    assert "greeting" not in applied(applied(FIRM), template=without).settings
    by_hand = told(applied(FIRM), greeting="Mi saludo.")
    assert applied(by_hand, template=without).settings["greeting"] == "Mi saludo."


def test_an_older_version_is_refused() -> None:
    with pytest.raises(ApplyError, match="version: horas is 1 here and 2 was applied"):
        plan_template("horas", HOURS, applied(FIRM, template=NEWER), force=True)


def test_a_record_that_cannot_be_read_is_written_anew_only_if_forced() -> None:
    broken = told(FIRM, **{RECORD: "{"})

    with pytest.raises(ApplyError, match="--force writes it anew"):
        plan_template("horas", HOURS, broken)
    assert applied(broken, force=True) == applied(FIRM)


VALUES = st.sampled_from(["", "a", "b", HOURS.settings("es_CL")["greeting"], "Pide tu hora aquí."])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hand"), VALUES),
        st.tuples(st.just("apply"), st.sampled_from(["horas", "newer", "pedidos"])),
    ),
    max_size=8,
)


@given(STEPS)
def test_whatever_happened_the_owners_last_word_stands(history: list[tuple[str, str]]) -> None:
    """Only a value that a template wrote, and that is as it was written, is changed."""
    firm, theirs = FIRM, False
    choices = {"horas": ("horas", HOURS), "newer": ("horas", NEWER), "pedidos": ("pedidos", ORDERS)}
    for kind, value in history:
        before = firm.settings.get("greeting", "")
        if kind == "hand":
            firm = told(firm, greeting=value)
            theirs = theirs or value != before
            continue
        record = applied_to(firm.settings)
        if record and record.template == "horas" and record.version == 2 and value == "horas":
            continue
        id, template = choices[value]
        wrote = record.wrote.get("greeting", "") if record else ""
        firm = applied(firm, id, template)
        if before != wrote:
            assert firm.settings.get("greeting", "") == before
        assert plan_template(id, template, firm).writes == {}
