"""What the benchmark writes down, and what it refuses to."""

from pathlib import Path

import pytest

from tests.bench.figures import Goal, Section, at_least, at_most, spread, write


def section(title: str, measured: str, *faults: str) -> Section:
    goals = [Goal("figure", measured)]
    return Section(title=title, how="Somehow.", goals=goals, faults=list(faults))


def test_a_scenario_replaces_its_own_part_only(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    write([section("One", "old one"), section("Two", "old two")], file)

    write([section("Two", "new two")], file)

    text = file.read_text()
    assert "old one" in text
    assert "new two" in text
    assert "old two" not in text
    assert text.index("## One") < text.index("## Two")


def test_nothing_is_written_when_something_went_wrong(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    write([section("One", "kept")], file)

    with pytest.raises(SystemExit, match="3 doubled"):
        write([section("One", "not kept"), section("Two", "neither", "Talk: 3 doubled")], file)

    assert "not kept" not in file.read_text()
    assert "Two" not in file.read_text()


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        pytest.param(at_most("x", [1, 2, 3], 2), True, id="the-median-counts"),
        pytest.param(at_most("x", [1, 2.1, 3], 2), False, id="above"),
        pytest.param(at_least("x", [1, 2, 3], 2), True, id="reached"),
        pytest.param(at_least("x", [1, 1.9, 3], 2), False, id="below"),
    ],
)
def test_a_goal_says_whether_it_was_met(goal: Goal, met: bool) -> None:
    assert goal.met is met


def test_a_figure_tells_its_extremes() -> None:
    assert spread([3000, 1000, 2000]) == "2,000 (1,000–3,000)"
    assert spread([7]) == "7"
