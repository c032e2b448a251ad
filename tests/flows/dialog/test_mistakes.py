"""The mistakes experiment: each mistake that an author can make, made once in a copy of the sample, is caught.

Who catches it: `mypy` reads the types, `checker` the source and the texts, `transcript` plays the conversations.
"""

import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from mypy import api

from flows.dialog.advance import Book
from flows.dialog.checker import check, ship
from flows.dialog.texts import Texts
from flows.dialog.transcript import play
from tests.flows.dialog import sample, sample_chats
from tests.flows.dialog.sample_texts import ES

ROOT: Final = Path(__file__).parents[3]
SOURCE: Final = Path(sample.__file__).read_text()
SHIPPED: Final = ship([sample.customer, sample.onboarding], {})


@dataclass(frozen=True)
class Mistake:
    title: str
    caught: str
    """Who must catch it."""
    code: tuple[tuple[str, str], ...] = ()
    """(what stands there, what is written by mistake)."""
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        return "mistake_" + re.sub(r"\W+", "_", self.title)

    @property
    def source(self) -> str:
        source = SOURCE
        for right, wrong in self.code:
            assert right in source, f"the sample no longer says {right}"
            source = source.replace(right, wrong)
        return source


MISTAKES: Final = (
    Mistake(
        "a target that does not exist",
        "mypy checker transcript",
        (("go(look_up, replace(s, rut=rut))", "go(lookup, replace(s, rut=rut))"),),
    ),
    Mistake(
        "a target of another flow",
        "mypy checker transcript",
        (("return go(agent, replace(v", "return go(summary, replace(v"),),
    ),
    Mistake(
        "an existing but unintended target",
        "checker transcript",
        (("return go(summary, replace(s, category", "return go(consent, replace(s, category"),
         ("go(summary if s.edited else ask_category", "go(ask_rut if s.edited else ask_category")),
    ),
    Mistake(
        "a wrong data field",
        "mypy transcript",
        (("replace(s, rut=rut)", "replace(s, rutt=rut)"),),
    ),
    Mistake(
        "a wrong type in a data field",
        "mypy transcript",
        (("replace(s, rut=rut)", "replace(s, rut=7)"),),
    ),
    Mistake(
        "a wrong type of a call's result",
        "mypy",
        (("def agent(v: Visit, answer: str)", "def agent(v: Visit, answer: int)"),),
    ),
    Mistake(
        "a result that may be none and is not expected",
        "mypy",
        (("def look_up(s: Signup, found: Tenant | None)", "def look_up(s: Signup, found: Tenant)"),),
    ),
    Mistake(
        "a wrong type of a sub-flow's result",
        "mypy",
        (("def register(v: Visit, how: Signed)", "def register(v: Visit, how: bool)"),
         ("how is Signed.declined", "how")),
    ),
    Mistake(
        "an end of the wrong type",
        "mypy transcript",
        (("onboarding.end(Signed.joined", "onboarding.end(True"),),
    ),
    Mistake(
        "a button without a branch",
        "mypy",
        (('        case "fix_category":\n            return go(ask_category, s)\n', ""),),
    ),
    Mistake(
        "a branch misspelled",
        "mypy transcript",
        (('case "fix_name":', 'case "fixname":'),),
    ),
    Mistake(
        "a step that forgets to return",
        "mypy transcript",
        (("    return go(look_up, replace(s, rut=rut))", "    go(look_up, replace(s, rut=rut))"),),
    ),
    Mistake(
        "a call with the wrong argument",
        "mypy",
        (("RequestJoin(s.taken_by)", "RequestJoin(s.edited)"),),
    ),
    # At run time the veto has no effect, so no transcript can fail.
    Mistake(
        "a veto of the human command",
        "mypy",
        (('refuses=("back", "cancel")', 'refuses=("back", "human")'),),
    ),
    Mistake(
        "a state that nothing leads to",
        "checker transcript",
        (("return go(offer_join, replace(s, taken_by=found.id)", "return go(ask_name, replace(s, taken_by=found.id)"),),
    ),
    Mistake(
        "a dead end",
        "checker transcript",
        (("return onboarding.end(Signed.joined, \"asked\")", "return go(offer_join, s, \"asked\")"),
         ("else go(ask_rut, s)", "else go(offer_join, s)")),
    ),
    Mistake(
        "a text that is missing",
        "checker transcript",
        texts={"onboarding.join.asked": ""},
    ),
    Mistake(
        "a text with an unknown field",
        "checker transcript",
        texts={"onboarding.look_up.free": "Anoté el RUT {{ s.number }}."},
    ),
    Mistake(
        "a text with a name that is not given",
        "checker transcript",
        texts={"onboarding.provision.done": "{{ firma }} está lista."},
    ),
    Mistake(
        "a title of 23 characters",
        "checker transcript",
        texts={"onboarding.summary.fix_name": "Cambiar nombre del loca"},
    ),
    Mistake(
        "a timer outside the window without a template",
        "checker transcript",
        (("timedelta(hours=20)", "timedelta(hours=25)"),),
    ),
    Mistake(
        "a clock read in a step",
        "checker",
        (("from datetime import timedelta", "from datetime import UTC, datetime, timedelta"),
         ("    return go(look_up, replace(s, rut=rut))", "    datetime.now(UTC)\n    return go(look_up, replace(s, rut=rut))")),
    ),
    Mistake(
        "a state renamed without an alias",
        "checker transcript",
        (("offer_join", "offer_access"),),
    ),
    Mistake(
        "data changed and version kept",
        "checker",
        (("    edited: bool = False\n", "    edited: bool = False\n    comuna: str = \"\"\n"),),
    ),
    Mistake(
        "no idle timeout",
        "checker transcript",
        (("version=2, renamed", "version=2, idle=timedelta(0), renamed"),),
    ),
    # Beyond the first experiment.
    Mistake(
        "words that no state has",
        "checker transcript",
        (("s, \"working\")", "s, \"workin\")"),),
    ),
    Mistake(
        "words of an unknown key by a condition",
        "checker transcript",
        (("customer.end(True) if how is Signed.declined else go(menu, v, \"returned\")",
          "go(menu, v, \"returned\" if how is Signed.joined else \"gone\")"),),
    ),
    Mistake(
        "a file that reads the network",
        "checker",
        (("from enum import StrEnum", "import socket\nfrom enum import StrEnum"),
         ("def consent(", "SOCKET = socket.AF_INET\n\n\n@onboarding.asks(by_tap=True)\ndef consent("),
         ("@onboarding.asks(by_tap=True)\nSOCKET", "SOCKET")),
    ),
    Mistake(
        "a root that cannot begin",
        "checker transcript",
        (("orders: tuple[Order, ...] = ()", "orders: tuple[Order, ...]"),),
    ),
)  # fmt: skip


def load(mistake: Mistake, folder: Path) -> ModuleType:
    file = folder / f"{mistake.module}.py"
    file.write_text(mistake.source)
    spec = importlib.util.spec_from_file_location(mistake.module, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # get_type_hints reads the names of a step where its module stands.
    sys.modules[mistake.module] = module
    spec.loader.exec_module(module)
    return module


def texts_of(mistake: Mistake) -> Texts:
    told = {**ES, **mistake.texts}
    return Texts({"es_CL": {key: text for key, text in told.items() if text}})


def checked(module: Any, mistake: Mistake) -> bool:
    flows = [module.customer, module.onboarding]
    found = check(flows, texts_of(mistake), shipped=SHIPPED)
    return any(not problem.warning for problem in found)


def failed(module: Any, mistake: Mistake) -> bool:
    try:
        for script in sample_chats.SIGN_UP.values():
            play(script, Book([module.onboarding], texts_of(mistake)))
        for script in sample_chats.SHOP.values():
            play(script, Book([module.customer], texts_of(mistake)))
    except Exception:  # noqa: BLE001 - however it fails, the author sees it
        return True
    return False


@pytest.fixture(scope="module")
def rejected(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> frozenset[str]:
    """The mistakes that mypy rejects: one run over all of them together."""
    folder = tmp_path_factory.mktemp("mistakes")
    for mistake in MISTAKES:
        (folder / f"{mistake.module}.py").write_text(mistake.source)
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("mypy")
    out, errors, _ = api.run(
        [
            f"--config-file={ROOT / 'pyproject.toml'}",
            f"--cache-dir={cache}",
            "--no-error-summary",
            *(str(folder / f"{mistake.module}.py") for mistake in MISTAKES),
        ]
    )
    assert not errors
    return frozenset(re.findall(r"(mistake_\w+)\.py:\d+: error", out))


@pytest.mark.parametrize(
    "mistake", [pytest.param(m, id=m.title.replace(" ", "-")) for m in MISTAKES]
)
def test_a_mistake_is_caught(mistake: Mistake, rejected: frozenset[str], tmp_path: Path) -> None:
    module = load(mistake, tmp_path)

    caught = {
        "mypy": mistake.module in rejected,
        "checker": checked(module, mistake),
        "transcript": failed(module, mistake),
    }

    assert set(mistake.caught.split()) <= {who for who, did in caught.items() if did}


def test_the_sample_itself_is_in_order(rejected: frozenset[str], tmp_path: Path) -> None:
    mistake = Mistake("none", "")
    module = load(mistake, tmp_path)

    assert not checked(module, mistake)
    assert not failed(module, mistake)
    # What only the checker or a transcript can see passes the types: so they tell right from wrong.
    assert "mistake_a_clock_read_in_a_step" not in rejected
