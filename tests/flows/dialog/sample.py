"""A small sign-up and a small shop: the flows that the tests of the language, and its mistakes, are made on."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from flows.dialog.answers import Name, Rut, Text
from flows.dialog.calls import Call, Failed
from flows.dialog.ctx import Ctx
from flows.dialog.flow import Flow, Step, go, hand_off, say, stay

NO_RUT: Final = Rut("")


class Category(StrEnum):
    retail = "retail"
    food = "food"
    services = "services"
    other = "other"


@dataclass(frozen=True)
class Tenant:
    id: str
    name: str


@dataclass(frozen=True)
class Order:
    id: str
    title: str
    status: str = ""


@dataclass(frozen=True)
class FindTenant(Call[Tenant | None]):
    topic = "identity"
    rut: Rut


@dataclass(frozen=True)
class RequestJoin(Call[bool]):
    topic = "identity"
    tenant: str


@dataclass(frozen=True)
class Provision(Call[Tenant]):
    topic = "identity"
    writes = True
    rut: Rut
    name: str
    category: Category


@dataclass(frozen=True)
class FindOrders(Call[list[Order]]):
    topic = "commerce"
    limit: int = 5


@dataclass(frozen=True)
class AskAgent(Call[str]):
    topic = "agents"
    question: str


# ---------------------------------------------------------------- onboarding


@dataclass(frozen=True)
class Signup:
    rut: Rut = NO_RUT
    name: str = ""
    category: Category = Category.other
    taken_by: str = ""
    edited: bool = False


class Signed(StrEnum):
    registered = "registered"
    joined = "joined"
    declined = "declined"


onboarding = Flow("onboarding", Signup, Signed, version=2, renamed={"ask_company": "ask_name"})


@onboarding.asks(by_tap=True)
def consent(s: Signup, agrees: bool) -> Step:
    return go(ask_rut, s) if agrees else onboarding.end(Signed.declined, "declined")


@onboarding.asks
def ask_rut(s: Signup, rut: Rut) -> Step:
    return go(look_up, replace(s, rut=rut))


@ask_rut.after(timedelta(hours=20))
def nudge(s: Signup) -> Step:
    return stay("nudge", sorry=False)


@onboarding.calls(lambda s: FindTenant(s.rut))
def look_up(s: Signup, found: Tenant | None) -> Step:
    if found:
        return go(offer_join, replace(s, taken_by=found.id), "taken")
    return go(ask_name, s, "free")


@onboarding.asks
def ask_name(s: Signup, name: Name) -> Step:
    return go(summary if s.edited else ask_category, replace(s, name=name))


@onboarding.asks
def ask_category(s: Signup, category: Category) -> Step:
    return go(summary, replace(s, category=category))


@onboarding.asks
def summary(s: Signup, choice: Literal["confirm", "fix_name", "fix_category"]) -> Step:
    match choice:
        case "confirm":
            return go(provision, s, "working")
        case "fix_name":
            return go(ask_name, replace(s, edited=True))
        case "fix_category":
            return go(ask_category, s)


@onboarding.calls(
    lambda s: Provision(s.rut, s.name, s.category),
    within=timedelta(minutes=2),
    refuses=("back", "cancel"),
)
def provision(s: Signup, tenant: Tenant) -> Step:
    return onboarding.end(Signed.registered, say("done", tenant=tenant.name))


@provision.failed
def not_provisioned(s: Signup, failure: Failed) -> Step:
    return hand_off("failed")


@onboarding.asks
def offer_join(s: Signup, choice: Literal["join", "other_rut"]) -> Step:
    return go(join, s) if choice == "join" else go(ask_rut, s)


@onboarding.calls(lambda s: RequestJoin(s.taken_by))
def join(s: Signup, accepted: bool) -> Step:
    return onboarding.end(Signed.joined, "asked")


@onboarding.migrates(to=2)
def rename_company(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "name": old.pop("company", "")}


# ---------------------------------------------------------------- the shop


@dataclass(frozen=True)
class Visit:
    orders: tuple[Order, ...] = ()
    question: str = ""


customer = Flow("customer", Visit, bool)


@customer.asks(pause=timedelta(milliseconds=1500))
def menu(v: Visit, wish: Literal["orders", "register", "human"] | Text, ctx: Ctx) -> Step:
    match wish:
        case "orders":
            return go(find_orders, v)
        case "register":
            return go(register, v)
        case "human":
            return hand_off("called")
        case question:
            return go(agent, replace(v, question=question))


@customer.calls(lambda v: FindOrders())
def find_orders(v: Visit, orders: list[Order]) -> Step:
    if not orders:
        return go(menu, v, "none")
    return go(choose_order, replace(v, orders=tuple(orders)))


@customer.picks(lambda v: v.orders)
def choose_order(v: Visit, order: Order) -> Step:
    return go(menu, v, say("status", order=order))


@customer.calls(lambda v: AskAgent(v.question), within=timedelta(seconds=45))
def agent(v: Visit, answer: str) -> Step:
    return go(menu, v, say("answer", text=answer))


@customer.runs(onboarding, lambda v: Signup())
def register(v: Visit, how: Signed) -> Step:
    return customer.end(True) if how is Signed.declined else go(menu, v, "returned")
