"""`smarterbot loadtest`: what cannot be is refused with the mend, and a newcomer's first run just works."""

from pathlib import Path

import pytest

from bot.cli.loadtest import read_faults, read_mix
from bot.cli.output import FieldError
from handlers.whatsapp.emulator.mix import usual_words
from handlers.whatsapp.emulator.plan import Weather
from tests.bot.cli.conftest import Command

HOOK = "http://127.0.0.1:8000/webhooks/whatsapp"


# ------------------------------------------------------------------ what is asked for


def test_a_mix_names_its_parts() -> None:
    parts, words = read_mix("text=70, menu=10,tap=0")

    assert parts == {"text": 70, "menu": 10, "tap": 0}
    assert words == usual_words()


@pytest.mark.parametrize(
    ("mix", "problem"),
    [
        pytest.param("talk=1", "--mix: talk is no kind: text, menu, tap, media", id="kind"),
        pytest.param("text", "--mix: text: name=value is expected, e.g. text=70", id="no-value"),
        pytest.param("text=-1", "--mix: text: a number of parts is expected, e.g. text=10", id="negative"),
        pytest.param("text=1%", "--mix: text: a number of parts is expected, e.g. text=10", id="percent"),
        pytest.param("text=1,text=2", "--mix: text: is given twice", id="twice"),
        pytest.param("text=0", "--mix: nothing would be written", id="all-zero"),
        pytest.param("", "--mix: nothing would be written", id="empty"),
    ],
)  # fmt: skip
def test_a_wrong_mix_is_refused_with_the_mend(mix: str, problem: str) -> None:
    with pytest.raises(FieldError) as error:
        read_mix(mix)

    assert str(error.value).startswith(problem)


def test_a_mix_of_ones_own_lies_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bakery.toml"
    file.write_text(
        'text = ["¿tienen torta de mil hojas?"]\ntaps = ["order"]\n[parts]\ntext = 90\ntap = 10\n'
    )

    parts, words = read_mix(str(file))

    assert parts == {"text": 90, "tap": 10}
    assert words.text == ("¿tienen torta de mil hojas?",)
    assert words.taps == {"order"}
    assert words.menu == usual_words().menu


def test_the_file_that_the_readme_shows_is_one(tmp_path: Path) -> None:
    _, _, rest = (Path(__file__).parents[3] / "README.md").read_text().partition("```toml\n")
    file = tmp_path / "readme.toml"
    file.write_text(rest.partition("```")[0])

    parts, words = read_mix(str(file))

    assert sum(parts.values()) == 100
    assert words.text != usual_words().text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("text = 1", "text: Expected `array`, got `int`", id="no-list"),
        pytest.param('text = ["hola", 2]', "text[1]: Expected `str`, got `int`", id="no-text"),
        pytest.param('menu = [""]', "menu[0]: Expected `str` of length >= 1", id="empty-text"),
        pytest.param('texts = ["hola"]', "the file: Object contains unknown field `texts`", id="unknown-field"),
        pytest.param("[parts]\ntalk = 1", "parts: talk is no kind: text, menu, tap", id="unknown-kind"),
        pytest.param("[parts]\ntext = -1", "parts: text: a number of parts is expected", id="negative"),
        pytest.param('[parts]\ntext = "all"', "parts[...]: Expected `int`, got `str`", id="no-number"),
        pytest.param("[parts]\ntext = 0", "parts: nothing would be written", id="nothing"),
        pytest.param("text = [", "is no TOML: ", id="no-toml"),
        pytest.param(None, "cannot be read: No such file or directory", id="no-file"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_field(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    file = tmp_path / "mix.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(FieldError) as error:
        read_mix(str(file))

    assert str(error.value).startswith(f"--mix: {file}: {problem}")


def test_faults_are_shares_and_amounts() -> None:
    weather = read_faults("duplicates=1%, reorder=0.5%,429=100%,batch=10,slow-graph=200ms")

    assert weather == Weather(
        {"duplicate": 0.01, "overtaken": 0.005, "throughput": 1.0}, {"batch": 10, "slow_ms": 200}
    )
    assert read_faults("") == Weather({}, {})


@pytest.mark.parametrize(
    ("faults", "problem"),
    [
        pytest.param("rain=1%", "--faults: rain is no fault: duplicates, rebatch, ", id="fault"),
        pytest.param("duplicates=1", "--faults: duplicates: more than 0% and at most 100% is expected, e.g. duplicates=1%", id="no-unit"),
        pytest.param("500=0%", "--faults: 500: more than 0% and at most 100%", id="none"),
        pytest.param("500=101%", "--faults: 500: more than 0% and at most 100%", id="too-many"),
        pytest.param("500=nan%", "--faults: 500: more than 0% and at most 100%", id="no-number"),
        pytest.param("batch=0", "--faults: batch: from 1 to 1000 is expected, e.g. batch=10", id="no-batch"),
        pytest.param("slow-graph=2", "--faults: slow-graph: from 1ms to 60000ms is expected, e.g. slow-graph=200ms", id="no-ms"),
        pytest.param("batch=5,batch=6", "--faults: batch: is given twice", id="twice"),
    ],
)  # fmt: skip
def test_wrong_faults_are_refused_with_the_mend(faults: str, problem: str) -> None:
    with pytest.raises(FieldError) as error:
        read_faults(faults)

    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["--rate", "0"], "--rate: more than 0 messages a second", id="no-rate"),
        pytest.param(["--rate", "41"], "--rate: 41 messages a second and their answers are 82, and the number carries 80 in and out together: at most 40", id="over-the-number"),
        pytest.param(["--duration", "4000"], "--duration: more than 0 and at most 3600", id="too-long"),
        pytest.param(["--duration", "5", "--messages", "5"], "--messages: give it or --duration", id="both"),
        pytest.param(["--messages", "0"], "--messages: a number from 1 to 1000000", id="no-messages"),
        pytest.param(["--ramp", "31"], "--ramp: a part of --duration", id="ramp"),
        pytest.param(["--wait", "1"], "--wait: more than 2 seconds", id="no-patience"),
        pytest.param(["--people", "11"], "--people: 11 would get 55 answers each in 30 s, and WhatsApp lets a business send one person 45 at once and then one every 6 s, here 50: at least 12 people", id="over-the-pair"),
        pytest.param(["--people", "39"], "--people: 39 write at most 19.5 messages a second", id="too-few"),
        pytest.param(["--people", "20000"], "--people: a number from 1 to 19900", id="too-many"),
        pytest.param(["--p99", "0"], "--p99: milliseconds above 0", id="p99"),
        pytest.param(["--seed", "-1"], "--seed: a whole number from 0", id="seed"),
        pytest.param(["--phone-number-id", "1"], "--callback-url: is needed to test a deployment", id="no-url"),
        pytest.param(["--callback-url", HOOK], "--phone-number-id: is needed with --callback-url", id="no-number"),
        pytest.param(["--callback-url", HOOK, "--phone-number-id", "+1"], "--phone-number-id: digits are expected", id="number"),
        pytest.param(["--callback-url", HOOK, "--phone-number-id", "1"], "WHATSAPP_APP_SECRET: is not set", id="no-secret"),
        pytest.param(["--callback-url", "bot"], "--callback-url: a URL is expected", id="no-address"),
        pytest.param(["--callback-url", "https://bot.example/hook"], "--callback-url: bot.example is another machine. If it is yours, and made for rehearsals: --i-own-this-server bot.example", id="stranger"),
        pytest.param(["--callback-url", "https://bot.example/hook", "--i-own-this-server", "other.example"], "--callback-url: bot.example is another machine", id="another-host"),
        pytest.param(["--callback-url", "https://graph.facebook.com/hook", "--i-own-this-server", "graph.facebook.com"], "--callback-url: this is Meta's", id="meta"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_mend(
    storeless: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], problem: str
) -> None:
    monkeypatch.delenv("WHATSAPP_APP_SECRET", raising=False)

    answer = storeless("loadtest", "--dry-run", *words)

    assert (answer.code, answer.out) == (2, "")
    assert answer.error.startswith(f"error: {problem}")


def test_a_dry_run_tells_the_load_and_does_nothing(
    storeless: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATSAPP_APP_SECRET", "s")
    words = ["loadtest", "--dry-run", "--callback-url", "https://bot.example/hook", "--phone-number-id", "1", "--i-own-this-server", "bot.example"]  # fmt: skip

    for_people, for_programs = storeless(*words), storeless(*words, "--json", "--seed", "7")

    assert "600 messages of 120 people in 30 s" in for_people.out
    assert for_programs.json == {
        "people": 120, "messages": 600, "rate": 20.0, "seconds": 30.0, "seed": 7, "dry_run": True
    }  # fmt: skip


# ------------------------------------------------------------------ a whole run


WEATHER = "duplicates=10%,rebatch=10%,reorder=10%,lose-first=5%,drop-status=5%,500=1%,batch=3,slow-graph=20ms"


def test_a_newcomers_run_tests_a_server_of_its_own_in_bad_weather(storeless: Command) -> None:
    few = ("--rate", "80", "--throughput", "200", "--messages", "30")
    load = (*few, "--faults", WEATHER, "--seed", "3")

    # Faster than the flow's own pause is asked for, so that there is one thing to complain about.
    answer = storeless("loadtest", *load, "--p99", "1000")

    assert (answer.code, answer.error) == (1, "")
    figures = dict(line.rsplit(maxsplit=1) for line in answer.out.splitlines()[2:7])
    assert figures == {"acknowledged": "30", "replies": "30", "lost": "0", "doubled": "0", "out of order": "0"}  # fmt: skip
    assert "faults         duplicates: " in answer.out
    [problem] = [line for line in answer.out.splitlines() if line.startswith("FAILED: ")]
    assert problem.startswith("FAILED: 99 % of the answers took up to ")


@pytest.mark.nightly
def test_a_program_reads_the_figures(storeless: Command) -> None:
    answer = storeless("loadtest", "--messages", "20", "--json", "--seed", "3")

    assert (answer.code, answer.error) == (0, "")
    assert answer.json["ok"]
    assert answer.json["counts"]["replies"] == answer.json["planned"] == 20
    assert answer.json["seed"] == 3
    assert answer.json["counts"]["reply_ms"]["p99"] > 0
