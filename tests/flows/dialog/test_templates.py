"""Template files: what Meta would refuse is refused here, and what a flow gives is what a template takes."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.catalogue import LOCALES
from flows.dialog.content import Template
from flows.dialog.flow import Flow, Step, stay
from flows.dialog.template_uses import template_problems
from flows.dialog.templates import (
    TYPES,
    TemplateFileError,
    read_templates,
    unfit,
)

GOOD = """
category = "utility"
body = "Hola {{nombre}}, tu pedido {{numero}} está listo y te espera."
replies = ["Voy", "Hoy no"]

[placeholders]
nombre = { type = "person", example = "Ana" }
numero = { type = "number", example = "A-17" }
"""
CODE = """
category = "authentication"
expires_minutes = 10
button = "Copiar código"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for locale in ("es_CL", "en"):
        (tmp_path / locale / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / locale / "templates").mkdir()
    return tmp_path


def write(folder: Path, text: str, *, name: str = "pedido", locales: str = "es_CL en") -> None:
    for locale in locales.split():
        (folder / locale / "templates" / f"{name}.toml").write_text(text, "utf-8")


def told(folder: Path) -> list[str]:
    with pytest.raises(TemplateFileError) as caught:
        read_templates(folder)
    return str(caught.value).splitlines()


# ------------------------------------------------------------------ the product's own


def test_the_product_brings_what_its_work_needs() -> None:
    templates = read_templates(LOCALES)

    assert templates.names() == [
        "acceso_decidido",  # whether somebody was let into a firm
        "acceso_solicitado",  # somebody wants into a firm
        "codigo_ingreso",  # a login
        "documento_recordado",  # a document that may be unpaid
        "encuesta_atencion",  # how it was
        "factura_lista",  # an invoice
        "invitacion_equipo",  # into a firm's team
        "lista_precios",  # an offer
        "pedido_actualizado",  # an order
        "recordatorio_hora",  # an appointment
        "registro_pendiente",  # a sign-up that was left
        "retomar_atencion",  # an answer that came too late
    ]
    assert templates.locales == ("en", "es_CL")


def test_a_file_tells_its_parameters_in_order(folder: Path) -> None:
    write(folder, GOOD)
    write(folder, CODE, name="codigo")

    templates = read_templates(folder)

    assert templates.files["pedido", "es_CL"].parameters == ("nombre", "numero")
    assert templates.files["codigo", "en"].parameters == ("1",)
    assert templates.get("pedido", "fr") is None


# ------------------------------------------------------------------ what Meta would refuse


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("utility", "service", "Invalid enum value 'service'", id="category"),
        pytest.param("replies", "answers", "unknown field `answers`", id="misspelt"),
        pytest.param("body = ", "body ", "Expected '='", id="no-toml"),
        pytest.param("Hola {{nombre}},", "{{nombre}},", "at its beginning or end", id="begins"),
        pytest.param(" está listo y te espera.", "", "at its beginning or end", id="ends"),
        pytest.param(", tu pedido", "", "side by side", id="side-by-side"),
        pytest.param("está listo y te espera", "ya", "too few words", id="words"),
        pytest.param("te espera.", "x" * 1000 + ".", "1024 fit", id="too-long-when-filled"),
        pytest.param("te espera.", "{{te espera.", "{{ that is no placeholder", id="braces"),
        pytest.param('"Hoy no"', '"Hoy no puedo ir, otro día será"', "1 to 25", id="label"),
        pytest.param('"Hoy no"', '"Voy"', "the same label", id="labels-alike"),
        pytest.param(
            '["Voy", "Hoy no"]', str([f"n{n}" for n in range(11)]), "10 fit", id="buttons"
        ),
        pytest.param("numero = {", "numeral = {", "the body has nombre, numero", id="another"),
        pytest.param('type = "number"', 'type = "float"', "its type is one of", id="type"),
        pytest.param('"A-17"', '"diecisiete"', "is no number", id="example-of-another-type"),
        pytest.param('"Ana"', '"' + "a" * 61 + '"', "60 fit a person", id="example-too-long"),
        pytest.param('"Ana"', '" "', "is empty", id="no-example"),
        pytest.param("replies", f'footer = "{"x" * 61}"\nreplies', "60 fit", id="footer"),
        pytest.param(
            "replies", 'header = "Hola {{nombre}}"\nreplies', "no placeholders", id="header"
        ),
        pytest.param(
            "replies", 'button = "x"\nreplies', "authentication templates alone", id="button"
        ),
        pytest.param(
            "replies",
            'links = [{ title = "Ver", url = "http://sol.example/" }]\nreplies',
            "does not begin with https://",
            id="link",
        ),
        pytest.param(
            "replies",
            'links = [{ title = "Ver", url = "https://sol.example/{{1}}" }]\nreplies',
            "needs an example",
            id="link-without-example",
        ),
    ],
)
def test_what_meta_would_refuse_is_refused_here(
    folder: Path, old: str, new: str, problem: str
) -> None:
    write(folder, GOOD.replace(old, new))

    problems = told(folder)

    assert any(
        line.startswith("en/templates/pedido.toml: ") and problem in line for line in problems
    )


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param('body = "Tu código es"', "body has no place", id="words"),
        pytest.param('footer = "x"', "footer has no place", id="footer"),
    ],
)
def test_meta_writes_the_words_of_a_code(folder: Path, more: str, problem: str) -> None:
    write(folder, CODE + more)

    assert problem in told(folder)[0]


@pytest.mark.parametrize("minutes", [0, 91])
def test_a_code_lives_for_a_while(folder: Path, minutes: int) -> None:
    write(folder, CODE.replace("10", str(minutes)))

    assert "1 to 90" in told(folder)[0]


def test_a_name_is_plain(folder: Path) -> None:
    write(folder, GOOD, name="Pedido-Listo")

    assert "small letters" in told(folder)[0]


def test_a_template_is_the_same_in_all_languages(folder: Path) -> None:
    write(folder, GOOD, locales="es_CL")
    write(folder, GOOD.replace("numero", "orden").replace(', "Hoy no"', ""), locales="en")
    write(folder, CODE, name="codigo", locales="en")

    assert told(folder) == [
        "codigo: is missing in es_CL",
        "pedido: its placeholders differ between en and es_CL",
        "pedido: its buttons differ between en and es_CL",
    ]


@pytest.mark.parametrize("type", TYPES)
def test_a_value_fits_its_type_or_not(type: str) -> None:
    assert unfit(type, "17:00") == ""
    assert unfit(type, "a\nb 1") == "holds a line break, a tab or a gap"
    assert unfit(type, "1" * 1000).endswith(f"fit a {type}")


# ------------------------------------------------------------------ what flows give


@dataclass(frozen=True)
class Data:
    pass


def filled(d: Any) -> Template:
    return Template("pedido", "es_CL", variables=(("nombre", d), ("numero", d)))


def too_little(d: Any) -> Template:
    return Template("pedido", "es_CL", (("nombre", d),))


def unknown(d: Any) -> Template:
    return Template(name="nada", language="es_CL")


def code(d: Any) -> Template:
    return Template("codigo", "es_CL", code=str(d))


def code_of_words(d: Any) -> Template:
    return Template("codigo", "es_CL", variables=(("1", d),))


def words_of_code(d: Any) -> Template:
    return Template("pedido", "es_CL", code="1")


def hidden(d: Any) -> Template:
    return filled(d)


def computed(d: Any) -> Template:
    return Template(f"pedido{d}", "es_CL")


def computed_names(d: Any) -> Template:
    return Template("pedido", "es_CL", variables=tuple(d))


@pytest.mark.parametrize(
    ("template", "problems"),
    [
        pytest.param(filled, [], id="exactly"),
        pytest.param(code, [], id="a-code"),
        pytest.param(
            too_little,
            [
                f"template pedido ({each}) takes nombre, numero, is given nombre"
                for each in ("en", "es_CL")
            ],
            id="too-little",
        ),
        pytest.param(
            "pedido",
            [
                f"template pedido ({each}) takes nombre, numero, is given nothing"
                for each in ("en", "es_CL")
            ],
            id="by-name-alone",
        ),
        pytest.param(
            unknown, [f"no template nada in {each}" for each in ("en", "es_CL")], id="unknown"
        ),
        pytest.param(
            code_of_words,
            [
                f"template codigo ({each}) is given a code, and nothing else"
                for each in ("en", "es_CL")
            ],
            id="a-code-in-words",
        ),
        pytest.param(
            words_of_code,
            [f"template pedido ({each}) takes no code" for each in ("en", "es_CL")],
            id="words-in-a-code",
        ),
        pytest.param(
            hidden,
            ["hidden builds no template that can be seen: write Template(…) in it"],
            id="hidden",
        ),
        pytest.param(
            computed,
            ["computed: the name and the variables of a template must stand in it as they are"],
            id="computed",
        ),
        pytest.param(
            computed_names,
            [
                "computed_names: the name and the variables of a template must stand in it as they are"
            ],
            id="computed-names",
        ),
    ],
)
def test_a_flow_gives_exactly_what_its_template_takes(
    folder: Path, template: Any, problems: list[str]
) -> None:
    write(folder, GOOD)
    write(folder, CODE, name="codigo")
    flow = Flow("visit", Data, bool)

    @flow.asks
    def ask(d: Data, comes: bool) -> Step:
        return flow.end(comes)

    @ask.after(timedelta(hours=2), template=template)
    def remind(d: Data) -> Step:
        return stay(sorry=False)

    found = list(template_problems(flow, read_templates(folder)))

    assert found == [("visit.ask", problem) for problem in problems]
