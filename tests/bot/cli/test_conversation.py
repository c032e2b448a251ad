"""`smarterbot conversation`: what was heard and said reads like the transcripts of the tests."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw
from msgspec.structs import replace

from bot.cli.conversation import transcript
from bot.cli.output import print_line
from bot.people.conversations import KeptFile, Message, Story, Summary, Turn
from flows.dialog.content import Button, Buttons, Content, Link, Row, Rows, Template, Text
from flows.dialog.events import Attachment, Heard
from flows.values.ids import ChannelId, ContactId, ConversationId, FileId, TenantId, Wamid
from tests.bot.cli.conftest import Command

AT = datetime(2026, 11, 21, 21, 40, tzinfo=UTC)
SUMMARY = Summary(
    id=ConversationId("c"),
    tenant=TenantId("t"),
    channel=ChannelId("n"),
    contact=ContactId("p"),
    state="",
    turn=1,
    changed_at=AT,
)


def heard(text: str, *, at: datetime = AT) -> Message:
    return event(Heard(id=Wamid("w"), at=0, kind="text", text=text), at=at)


def event(heard: Heard, *, at: datetime = AT) -> Message:
    return Message(turn=1, at=at, content=heard, direction="in")


def said(
    content: Content,
    *,
    at: datetime = AT,
    status: str = "",
    parked: bool = False,
    faults: tuple[str, ...] = (),
) -> Message:
    return Message(
        turn=1, at=at, content=content, direction="out", status=status, parked=parked, faults=faults
    )


def lines(*turns: Turn) -> list[str]:
    return list(transcript(Story(summary=SUMMARY, zone="America/Santiago", turns=turns)))


def turn(*messages: Message) -> Turn:
    return Turn(turn=1, at=AT, state="", messages=messages)


def test_a_conversation_reads_like_a_transcript() -> None:
    menu = Rows(
        body="¡Hola!\n¿Qué necesitas?",
        button="Ver opciones",
        rows=(Row("a", "Ver precios", "Pan y tortas"), Row("b", "Hablar con alguien")),
    )

    found = lines(
        turn(heard("hola"), heard("una consulta"), said(menu, status="read")),
        replace(
            turn(
                event(Heard(id=Wamid("w"), at=0, kind="row", text="Hablar con alguien")),
                said(Text("Listo, quedó anotado.")),
            ),
            handoff="",
        ),
    )

    assert found == [
        "@ 2026-11-21 18:40",
        "> hola",
        "> una consulta",
        "< ¡Hola!⏎¿Qué necesitas? {Ver opciones}  # read",
        "- Ver precios | Pan y tortas",
        "- Hablar con alguien",
        "> [Hablar con alguien]",
        "< Listo, quedó anotado.",
        "= human",
    ]


def test_the_clock_is_written_again_after_a_silence() -> None:
    late = AT + timedelta(hours=2)

    found = lines(turn(heard("hola")), turn(heard("¿sigues?", at=late)))

    assert found == ["@ 2026-11-21 18:40", "> hola", "@ 2026-11-21 20:40", "> ¿sigues?"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(
            Buttons("¿Seguimos?", (Button("y", "Sí"), Button("n", "No"))), "< ¿Seguimos? [Sí] [No]", id="buttons"
        ),
        pytest.param(
            Link("Mira", "Abrir", "https://sol.example"), "< Mira [Abrir](https://sol.example)", id="link"
        ),
        pytest.param(Template("aviso", "es_CL", (("nombre", "Rosa"),)), "< (template aviso) Rosa", id="template"),
    ],
)  # fmt: skip
def test_each_kind_of_content_has_its_line(content: Content, line: str) -> None:
    assert lines(turn(said(content)))[1:] == [line]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        pytest.param(Heard(Wamid("w"), 0, "tap", text="Sí"), "> [Sí]", id="tap"),
        pytest.param(
            Heard(Wamid("w"), 0, "media", text="mi torta", media=Attachment("image", "1")),
            "> (image) mi torta",
            id="photo",
        ),
        pytest.param(Heard(Wamid("w"), 0, "place"), "> (place)", id="place"),
        pytest.param(Heard(Wamid("w"), 0, "form", form=Raw(b"{}")), "> (form)", id="form"),
    ],
)
def test_each_kind_of_hearing_has_its_line(what: Heard, line: str) -> None:
    assert lines(turn(event(what)))[1:] == [line]


def test_what_came_of_a_turn_is_told() -> None:
    refused = said(Text("Hola"), parked=True, faults=("window_closed",))

    found = lines(
        replace(
            turn(refused), consents=(("notices", True), ("marketing", False)), failed="poisoned"
        )
    )

    assert found[1:] == [
        "< Hola  # parked, refused: window_closed",
        "= consent notices on, marketing off",
        "= failed poisoned",
    ]


def test_what_a_person_writes_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("> hola\x1b[2J\x9b31m ñ 🥐")

    assert capsys.readouterr().out == "> hola\ufffd[2J\ufffd31m ñ 🥐\n"


def test_a_conversation_that_is_not_there_is_told_as_such(smarterbot: Command) -> None:
    answer = smarterbot("conversation", "show", "00000000-0000-4000-8000-000000000000")

    assert (answer.code, answer.error) == (
        1,
        "error: there is no conversation with this id in the journal\n",
    )


@pytest.mark.parametrize(
    ("size", "shown"), [(1, "1 kB"), (182_001, "183 kB"), (1_450_000, "1.4 MB")]
)
def test_a_file_is_told_by_its_kind_size_and_id_and_never_by_its_name(
    size: int, shown: str
) -> None:
    media = Attachment("document", "1", name="Ficha de Rosa Soto.pdf")
    message = replace(
        event(Heard(Wamid("w"), 0, "media", text="mi ficha", media=media)),
        file=KeptFile(FileId("f1"), "application/pdf", size),
    )

    assert lines(turn(message))[1:] == [f"> (document, {shown}, f1) mi ficha"]


def test_a_file_that_was_not_kept_says_why() -> None:
    media = Attachment("image", "1")
    message = replace(
        event(Heard(Wamid("w"), 0, "media", media=media)), faults=("file_unknown_type",)
    )

    assert lines(turn(message))[1:] == ["> (image)  # refused: file_unknown_type"]
