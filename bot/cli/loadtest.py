"""`smarterbot loadtest`: how a deployment does under load, before a campaign finds out."""

import contextlib
import ipaddress
import math
import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, get_args
from urllib.parse import urlsplit

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bot.cli.output import (
    AsJson,
    DryRun,
    FieldError,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from bot.loadtest.values import Result, Target, Watch
from bot.settings import SettingsError, from_environment
from handlers.ports import THROUGHPUT, THROUGHPUT_MAX
from handlers.whatsapp.emulator.errors import title_of
from handlers.whatsapp.emulator.mix import USUAL, Kind, Words, usual_words
from handlers.whatsapp.emulator.plan import Plan, Weather
from handlers.whatsapp.emulator.tally import Count, Latency
from handlers.whatsapp.emulator.world import (
    PAIR_BURST,
    PAIR_GAP_MS,
    PEOPLE_MAX,
    Number,
    NumberId,
)

MIX: Final = ",".join(f"{kind}={parts}" for kind, parts in USUAL.items())
DURATION_S: Final = 30.0
DURATION_S_MAX: Final = 3_600.0
WAIT_S_MAX: Final = 600.0
MESSAGES_MAX: Final = 1_000_000
PEOPLE_SPARE: Final = 100  # of PEOPLE_MAX, for whoever else the server writes to
ANSWER_S: Final = 2.0  # an answer takes so long: the bot lets people finish writing for 1.5 s
PARTS_MAX: Final = 1_000_000
TEXT_CHARS_MAX: Final = 4_096  # WhatsApp: of a message ...
CAPTION_CHARS_MAX: Final = 1_024  # ... and under a picture
BATCH_MAX: Final = 1_000  # Meta: updates in one webhook
SLOW_MS_MAX: Final = 60_000
SEED_MAX: Final = 2**31

_DEPLOYMENT: Final = "The deployment"
_LOAD: Final = "The load"
_REPORT: Final = "The judgement"

_Texts = tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)], ...]

_META: Final = ("facebook.com", "whatsapp.com", "whatsapp.net", "meta.com", "fb.com")
_SWITCHES: Final[Mapping[str, str]] = {
    "duplicates": "duplicate",
    "rebatch": "rebatch",
    "lose-first": "lose_first",
    "reorder": "overtaken",
    "drop-status": "lose_statuses",
    "429": "throughput",
    "pair-limit": "pair_limit",
    "500": "http_500",
    "502": "http_502",
    "reset": "reset",
}
"""Faults that happen now and then: our name, and that of the emulator's switch."""


def loadtest(
    *,
    callback_url: Annotated[
        str,
        typer.Option(
            rich_help_panel=_DEPLOYMENT,
            help="Webhook of the deployment under test. Without it a server of our own is started and tested.",
        ),
    ] = "",
    phone_number_id: Annotated[
        str,
        typer.Option(
            rich_help_panel=_DEPLOYMENT,
            help="Meta's id of one of its numbers: `smarterbot channel list`.",
        ),
    ] = "",
    waba_id: Annotated[
        str, typer.Option(rich_help_panel=_DEPLOYMENT, help="Id of the number's WhatsApp account.")
    ] = "0",
    graph_port: Annotated[
        int,
        typer.Option(
            rich_help_panel=_DEPLOYMENT,
            min=1,
            max=65535,
            help="Where we play Meta's Graph API: the deployment needs WHATSAPP_GRAPH_URL=http://127.0.0.1:PORT.",
        ),
    ] = 8090,
    rate: Annotated[
        float,
        typer.Option(rich_help_panel=_LOAD, help="Messages a second, of all people together."),
    ] = 20.0,
    duration: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_LOAD, help="For how many seconds people write; 30 unless --messages."
        ),
    ] = None,
    messages: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LOAD, help="How many messages, instead of --duration."),
    ] = None,
    people: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_LOAD, help="How many people write; 6 for each message a second."
        ),
    ] = None,
    ramp: Annotated[
        float, typer.Option(rich_help_panel=_LOAD, help="Seconds in which the rate grows from 0.")
    ] = 0.0,
    mix: Annotated[
        str,
        typer.Option(
            rich_help_panel=_LOAD,
            help="What they do, in parts; or FILE.toml with words of your own: the README shows one.",
        ),
    ] = MIX,
    faults: Annotated[
        str,
        typer.Option(
            rich_help_panel=_LOAD,
            help="What goes wrong on the way, e.g. duplicates=1%,reorder=1%,batch=10,slow-graph=200ms. "
            f"In per cent: {', '.join(_SWITCHES)}.",
        ),
    ] = "",
    throughput: Annotated[
        int,
        typer.Option(
            rich_help_panel=_DEPLOYMENT,
            min=2,
            max=THROUGHPUT_MAX,
            help="Messages a second that Meta lets the number carry, in and out together: 80, more after an upgrade.",
        ),
    ] = THROUGHPUT,
    wait: Annotated[
        float,
        typer.Option(
            rich_help_panel=_REPORT,
            help="Seconds without any answer after which what is open counts as lost.",
        ),
    ] = 30.0,
    p99: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_REPORT,
            help="Fail if 99 % of the answers are not there within so many ms.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_LOAD, help="The same people, messages and faults as in that run."
        ),
    ] = None,
    i_own_this_server: Annotated[
        str,
        typer.Option(
            rich_help_panel=_DEPLOYMENT,
            metavar="HOST",
            help="Allow a --callback-url on this other machine.",
        ),
    ] = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Load a deployment with messages, and say what was lost, doubled, out of order or slow.

    We play Meta and the phones: signed webhooks go to the deployment, its
    replies come to us. Nobody real is written to, and Meta is never called.
    The app secret is read from WHATSAPP_APP_SECRET.

    Use a deployment for rehearsals: the people of the test stay in its
    database, and what it has to say to real people comes to us too.

    A person writes, waits for the answer, and only then writes again. So the
    firm's conversation has to answer every message with one message; the one
    that comes with SmarterBot does. It waits 1.5 s for whoever is still
    writing, and that is a part of the time of every answer but those to taps.

    Exit code 0: nothing was lost, doubled or out of order, and --p99 was kept.
    Ctrl-C ends the writing, a second one the waiting for answers.
    """  # fmt: skip
    plan = _plan(
        rate=rate, duration=duration, messages=messages, people=people, ramp=ramp, mix=mix,
        wait=wait, throughput=throughput,
    )  # fmt: skip
    weather = read_faults(faults)
    if p99 is not None and p99 <= 0:
        raise FieldError("--p99: milliseconds above 0 are expected, e.g. 3000")
    if seed is None:
        seed = random.randrange(SEED_MAX)  # noqa: S311 - no secret hangs on it
    elif not 0 <= seed < SEED_MAX:
        raise FieldError(f"--seed: a whole number from 0 to {SEED_MAX - 1} is expected")
    target = None
    if callback_url:
        check_host(callback_url, owned=i_own_this_server)
        target = _target(callback_url, phone_number_id, waba_id, graph_port, throughput)
    elif phone_number_id or i_own_this_server:
        raise FieldError(
            "--callback-url: is needed to test a deployment; without it we test a server of our own"
        )
    if dry_run:
        _show_plan(plan, target, seed=seed, as_json=as_json)
        return
    from bot.loadtest.run import load_test  # these are large, and other commands do not need them
    from bot.loadtest.server import own_server

    quiet = as_json or not sys.stderr.isatty()
    with contextlib.ExitStack() as stack:
        if target is None:
            with _waiting("starting a server of our own …", quiet=quiet):
                target = stack.enter_context(own_server(throughput))
        with _progress(plan, quiet=quiet) as watch:
            result = uvloop.run(
                load_test(target, plan, seed=seed, weather=weather, p99_ms=p99, watch=watch)
            )
        # Before our own server ends, which takes a moment.
        (print_json if as_json else _show)(result)
    raise typer.Exit(0 if result.ok else 1)


# ------------------------------------------------------------------ what is asked for


def _plan(
    *,
    rate: float,
    duration: float | None,
    messages: int | None,
    people: int | None,
    ramp: float,
    mix: str,
    wait: float,
    throughput: int,
) -> Plan:
    """The load, if it is possible.

    Raises:
        FieldError: it is not, and why.
    """
    _refuse(_range_problems(rate=rate, duration=duration, messages=messages, ramp=ramp, wait=wait))
    if rate * 2 > throughput:
        raise FieldError(
            f"--rate: {rate:g} messages a second and their answers are {rate * 2:g}, and the number carries "
            f"{throughput} in and out together: at most {throughput // 2}, or --throughput if Meta lets yours carry more"
        )
    if messages is None:
        messages = max(1, math.floor(rate * ((duration or DURATION_S) - ramp / 2)))
    crowd = people or min(math.ceil(rate * PAIR_GAP_MS / 1000), messages, PEOPLE_MAX - PEOPLE_SPARE)
    parts, words = read_mix(mix)
    plan = Plan(
        people=crowd,
        messages=messages,
        rate=rate,
        parts=parts,
        words=words,
        ramp_s=ramp,
        wait_s=wait,
    )
    _refuse(_people_problems(plan))
    return plan


def _range_problems(
    *, rate: float, duration: float | None, messages: int | None, ramp: float, wait: float
) -> Iterator[str]:
    if not rate > 0:
        yield "--rate: more than 0 messages a second are expected"
    if duration is not None and messages is not None:
        yield "--messages: give it or --duration, not both"
    if duration is not None and not 0 < duration <= DURATION_S_MAX:
        yield f"--duration: more than 0 and at most {DURATION_S_MAX:.0f} seconds are expected"
    if messages is not None and not 0 < messages <= MESSAGES_MAX:
        yield f"--messages: a number from 1 to {MESSAGES_MAX} is expected"
    if messages is None and not 0 <= ramp <= (duration or DURATION_S):
        yield "--ramp: a part of --duration is expected, in seconds"
    elif not 0 <= ramp <= DURATION_S_MAX:
        yield f"--ramp: from 0 to {DURATION_S_MAX:.0f} seconds are expected"
    if not ANSWER_S < wait <= WAIT_S_MAX:
        yield f"--wait: more than {ANSWER_S:.0f} seconds, which an answer takes at rest, and at most {WAIT_S_MAX:.0f}"


def _people_problems(plan: Plan) -> Iterator[str]:
    """Whether so many people can write so much, as WhatsApp limits it and as they wait for answers."""
    most = PEOPLE_MAX - PEOPLE_SPARE
    if not 0 < plan.people <= most:
        yield f"--people: a number from 1 to {most} is expected"
        return
    seconds = plan.due_s(plan.messages)
    allowed = PAIR_BURST + math.floor(seconds * 1000 / PAIR_GAP_MS)
    each = math.ceil(plan.messages / plan.people)
    if each > allowed:
        yield (
            f"--people: {plan.people} would get {each} answers each in {seconds:.0f} s, and WhatsApp lets a business send "
            f"one person {PAIR_BURST} at once and then one every {PAIR_GAP_MS // 1000} s, here {allowed}: "
            f"at least {math.ceil(plan.messages / allowed)} people"
        )
    elif plan.people < min(plan.messages, plan.rate * ANSWER_S):
        yield (
            f"--people: {plan.people} write at most {plan.people / ANSWER_S:g} messages a second, for each waits about "
            f"{ANSWER_S:.0f} s for an answer: at least {math.ceil(plan.rate * ANSWER_S)} people, or a lower --rate"
        )


def _refuse(problems: Iterator[str]) -> None:
    if told := "\n".join(problems):
        raise FieldError(told)


class _Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of `--mix`: what is left out is as usual."""

    parts: dict[str, int] = {}
    text: _Texts = ()
    menu: _Texts = ()
    captions: tuple[Annotated[str, msgspec.Meta(max_length=CAPTION_CHARS_MAX)], ...] = ()
    taps: frozenset[Annotated[str, msgspec.Meta(min_length=1)]] = frozenset()


def read_mix(mix: str) -> tuple[dict[Kind, int], Words]:
    """The parts of each kind, from `text=70,menu=10` or the file of that name, and what is written.

    Raises:
        FieldError: it is not of that form.
    """
    if mix.endswith(".toml"):
        return _read_mix_file(Path(mix))
    parts: dict[str, int] = {}
    for name, value in _pairs("--mix", mix, example="text=70,menu=10,tap=10"):
        parts[name] = int(value) if value.isascii() and value.isdigit() else -1
    return _parts("--mix", parts), usual_words()


def _read_mix_file(file: Path) -> tuple[dict[Kind, int], Words]:
    where = f"--mix: {file}"
    try:
        own = msgspec.toml.decode(file.read_bytes(), type=_Mix)
    except OSError as error:
        raise FieldError(f"{where}: cannot be read: {os.strerror(error.errno or 0)}") from error
    except msgspec.ValidationError as error:
        # Its own words end with where it is: "… - at `$.text[0]`".
        what, _, field = str(error).partition(" - at `$.")
        raise FieldError(f"{where}: {field.rstrip('`') or 'the file'}: {what}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FieldError(f"{where}: is no TOML: {error}") from error
    usual = usual_words()
    words = Words(
        text=own.text or usual.text,
        menu=own.menu or usual.menu,
        captions=own.captions or usual.captions,
        taps=own.taps or usual.taps,
    )
    return _parts(
        f"{where}: parts", own.parts or {str(kind): number for kind, number in USUAL.items()}
    ), words


def _parts(where: str, parts: Mapping[str, int]) -> dict[Kind, int]:
    known: dict[Kind, int] = {}
    for name, number in parts.items():
        kinds = [kind for kind in get_args(Kind) if kind == name]
        if not kinds:
            raise FieldError(f"{where}: {name} is no kind: {', '.join(get_args(Kind))} are")
        if not 0 <= number <= PARTS_MAX:
            raise FieldError(f"{where}: {name}: a number of parts is expected, e.g. {name}=10")
        known[kinds[0]] = number
    if not sum(known.values()):
        raise FieldError(f"{where}: nothing would be written, e.g. text=70,menu=10,tap=10")
    return known


def read_faults(text: str) -> Weather:
    """What goes wrong, from `duplicates=1%,batch=10,slow-graph=200ms`.

    Raises:
        FieldError: it is not of that form.
    """
    shares: dict[str, float] = {}
    amounts: dict[str, int] = {}
    for name, value in _pairs("--faults", text, example="duplicates=1%,batch=10"):
        match name:
            case "batch":
                amounts["batch"] = _whole(name, value, "", BATCH_MAX, example="10")
            case "slow-graph":
                amounts["slow_ms"] = _whole(name, value, "ms", SLOW_MS_MAX, example="200ms")
            case _ if name in _SWITCHES:
                shares[_SWITCHES[name]] = _share(name, value)
            case _:
                known = ", ".join((*_SWITCHES, "batch", "slow-graph"))
                raise FieldError(f"--faults: {name} is no fault: {known} are")
    return Weather(shares, amounts)


def _pairs(option: str, text: str, *, example: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = pair.partition("=")
        if not equals:
            raise FieldError(f"{option}: {pair}: name=value is expected, e.g. {example}")
        if name in seen:
            raise FieldError(f"{option}: {name}: is given twice")
        seen.add(name)
        yield name, value


def _whole(name: str, value: str, unit: str, most: int, *, example: str) -> int:
    digits = value.removesuffix(unit)
    if not (digits.isascii() and digits.isdigit() and value.endswith(unit)) or not (
        0 < int(digits) <= most
    ):
        raise FieldError(
            f"--faults: {name}: from 1{unit} to {most}{unit} is expected, e.g. {name}={example}"
        )
    return int(digits)


def _share(name: str, value: str) -> float:
    with contextlib.suppress(ValueError):
        share = float(value.removesuffix("%")) / 100
        if value.endswith("%") and 0 < share <= 1:
            return share
    raise FieldError(f"--faults: {name}: more than 0% and at most 100% is expected, e.g. {name}=1%")


def check_host(callback_url: str, *, owned: str) -> None:
    """Refuse what is not this machine, nor said to be the caller's own; and Meta in any case.

    Raises:
        FieldError: so it is.
    """
    parts = urlsplit(callback_url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise FieldError(
            "--callback-url: a URL is expected, e.g. http://127.0.0.1:8000/webhooks/whatsapp"
        )
    if any(host == name or host.endswith(f".{name}") for name in _META):
        raise FieldError("--callback-url: this is Meta's, and no deployment of yours")
    if not _is_here(host) and host != owned.lower():
        raise FieldError(
            f"--callback-url: {host} is another machine. If it is yours, and made for rehearsals: "
            f"--i-own-this-server {host}"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _target(
    callback_url: str, phone_number_id: str, waba_id: str, graph_port: int, throughput: int
) -> Target:
    given = {"--phone-number-id": phone_number_id, "--waba-id": waba_id}
    if not phone_number_id:
        raise FieldError(
            "--phone-number-id: is needed with --callback-url: `smarterbot channel list` shows it"
        )
    _refuse(
        f"{name}: digits are expected, as `smarterbot channel list` shows them"
        for name, value in given.items()
        if not (value.isascii() and value.isdigit())
    )
    secret = from_environment().app_secret
    if not secret:
        raise SettingsError(("WHATSAPP_APP_SECRET: is not set: it has to be that of the server",))
    number = Number(
        id=NumberId(phone_number_id),
        waba_id=waba_id,
        display_phone="+999",
        name="",
        token="",
        per_s=throughput,
    )
    return Target(callback_url, secret, number, graph_port)


# ------------------------------------------------------------------ what is shown


@contextlib.contextmanager
def _waiting(what: str, *, quiet: bool) -> Iterator[None]:
    if quiet:
        yield
        return
    with Console(stderr=True).status(what):
        yield


@contextlib.contextmanager
def _progress(plan: Plan, *, quiet: bool) -> Iterator[Watch | None]:
    """Two lines that move, on standard error."""
    if quiet:
        yield None
        return
    bar = Progress(
        BarColumn(bar_width=8),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    with bar:
        task = bar.add_task("one message first: does the server answer?", total=plan.messages)
        bar.refresh()
        sent, at_s = 0, bar.get_time()

        def watch(counts: Count, *, stopping: bool) -> None:
            nonlocal sent, at_s
            now_s = bar.get_time()
            rate = (counts.sent - sent) / (now_s - at_s)
            sent, at_s = counts.sent, now_s
            told = _standing(counts, rate=rate, stopping=stopping)
            bar.update(task, completed=counts.replies, description=told, refresh=True)

        yield watch


def _standing(counts: Count, *, rate: float, stopping: bool) -> str:
    """Two lines of at most 60 characters: a terminal of 80 has room for the bar, too."""
    ack, reply = counts.ack_ms, counts.reply_ms
    if stopping:
        first = f"waiting for {counts.in_flight:,} answers; Ctrl-C again: no more waiting"
    else:
        first = (
            f"sent {counts.sent:,} ({rate:,.0f}/s)  acked {counts.acknowledged:,}"
            f"  replies {counts.replies:,}  open {counts.in_flight:,}"
        )
    return (
        f"{first}\nack {ack.p50:,.0f} ms (p99 {ack.p99:,.0f})"
        f"  reply {reply.p50:,.0f} ms (p99 {reply.p99:,.0f})  errors {counts.troubles:,}"
    )


def _show_plan(plan: Plan, target: Target | None, *, seed: int, as_json: bool) -> None:
    seconds = plan.due_s(plan.messages)
    if as_json:
        told = {"people": plan.people, "messages": plan.messages, "rate": plan.rate}
        print_json({**told, "seconds": round(seconds, 1), "seed": seed, "dry_run": True})
        return
    print_facts(
        {
            "server": target.callback_url if target else "one of our own, with a demo firm",
            "Graph API": f"http://127.0.0.1:{target.graph_port}" if target else "on a free port",
            "load": f"{plan.messages:,} messages of {plan.people:,} people in {seconds:,.0f} s",
        }
    )


def _show(result: Result) -> None:
    counts = result.counts
    print_line(
        f"{counts.sent:,} messages of {result.people:,} people, "
        f"written in {result.wrote_s:,.1f} s ({result.sent_per_s:,.1f}/s), "
        f"answered in {result.took_s:,.1f} s ({result.replies_per_s:,.1f}/s)"
    )
    print_line("")
    print_facts(
        {
            "acknowledged": f"{counts.acknowledged:,}",
            "replies": f"{counts.replies:,}",
            "lost": f"{counts.lost:,}",
            "doubled": f"{counts.doubled_sends + counts.doubled_answers:,}",
            "out of order": f"{counts.inverted:,}",
            "webhooks": _listed(counts.webhooks) + ", those with statuses among them",
            "sends refused": _refusals(counts.refused) or "0",
            **({"faults": _faults(result.faults)} if result.faults else {}),
            "CPU": _cpu(result),
            "seed": f"{result.seed}",
        }
    )
    print_line("")
    rows = [("acknowledged after", counts.ack_ms), ("answered after", counts.reply_ms)]
    rows += [(f"  {kind}", latency) for kind, latency in counts.reply_ms_by_kind.items()]
    print_table(
        ["ms", "p50", "p90", "p99", "max", "count"],
        [(name, *_cells(latency)) for name, latency in rows],
        empty="",
    )
    print_line("")
    for note in result.notes:
        print_line(f"note: {note}")
    for problem in result.problems:
        print_line(f"FAILED: {problem}")
    if result.ok:
        print_line("OK: nothing was lost, doubled or out of order")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def _refusals(counts: Mapping[int, int]) -> str:
    return _listed({f"{code} ({title_of(code)})": count for code, count in counts.items()})


def _faults(counts: Mapping[str, int]) -> str:
    return _listed({name: counts[field] for name, field in _SWITCHES.items() if field in counts})


def _cpu(result: Result) -> str:
    told = f"loader {result.loader_cpu:.0%} of a core"
    return told if result.server_cpu is None else f"{told}, server {result.server_cpu:.0%}"


def _cells(latency: Latency) -> tuple[str, str, str, str, str]:
    figures = (latency.p50, latency.p90, latency.p99, latency.max)
    p50, p90, p99, longest = (f"{figure:,.0f}" for figure in figures)
    return p50, p90, p99, longest, f"{latency.count:,}"
