"""What is committed of the flows is what they are: `make golden` rewrites it, and the difference is reviewed."""

from pathlib import Path

import msgspec
import pytest

from flows.catalogue import product_flows
from flows.dialog.checker import Shipped, closure, ship
from flows.dialog.draw import draw

ROOT = Path(__file__).parents[2]
FLOWS = closure(product_flows())


@pytest.mark.parametrize("name", [flow.name for flow in FLOWS])
def test_the_drawing_shows_the_flow(name: str) -> None:
    flow = next(flow for flow in FLOWS if flow.name == name)

    assert (ROOT / "docs" / "flows" / f"{name}.mmd").read_text() == draw(flow)


def test_there_is_no_drawing_of_a_flow_that_is_gone() -> None:
    drawn = {file.stem for file in (ROOT / "docs" / "flows").glob("*.mmd")}

    assert drawn == {flow.name for flow in FLOWS}


def test_every_state_that_may_be_stored_is_on_record() -> None:
    committed = msgspec.json.decode(
        (ROOT / "flows" / "shipped.json").read_bytes(), type=dict[str, Shipped]
    )

    assert committed == ship(product_flows(), committed)
