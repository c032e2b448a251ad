"""A comuna is found however it is spelt, guessed when it is not, and never guessed in silence.

`comunas_elsewhere.csv` is a second listing, of another lineage than ours: the package clcomuna 1.1.3 (2017), and for
Ñuble, which was no region then, the codes of SUBDERE as the package chilemapas lists them.
"""

import csv
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flows.values.comuna import LIKELY_MAX, Comuna, comunas, parse_comuna
from flows.values.words import plain

ELSEWHERE = Path(__file__).with_name("comunas_elsewhere.csv")
ROW_TITLE_MAX = 24
SHARED = ("SAN PEDRO", "FLORIDA")
"""Whole names that people also use for another comuna."""

TWINS = (
    "Rauco", "Arauco", "Calera", "Caldera", "Lanco", "Chanco", "Molina", "Colina", "Rancagua", "Nancagua",
    "Temuco", "Pemuco", "Quillón", "Quellón",
)  # fmt: skip
"""Names that are one slip from another one."""

every = st.sampled_from(comunas())


def test_there_are_346_in_16_regions() -> None:
    counts = Counter(comuna.region for comuna in comunas())

    assert len(set(comunas())) == 346
    assert counts == {
        1: 7, 2: 9, 3: 9, 4: 15, 5: 38, 6: 33, 7: 30, 8: 33, 9: 32, 10: 30, 11: 10, 12: 11, 13: 52,
        14: 12, 15: 4, 16: 21,
    }  # fmt: skip


@pytest.mark.parametrize("comuna", comunas(), ids=str)
def test_each_has_a_region_a_province_and_a_name_that_fits_a_row(comuna: Comuna) -> None:
    assert len(comuna) == 5
    assert comuna.region_name
    assert comuna.province_name
    assert 0 < len(comuna.name) <= ROW_TITLE_MAX


def test_another_listing_has_the_same_codes_and_names() -> None:
    with ELSEWHERE.open(encoding="utf-8") as file:
        rows = {row["code"]: row["name"] for row in csv.DictReader(file)}

    assert set(rows) == set(comunas())
    for code, name in rows.items():
        assert parse_comuna(name) == code or name in SHARED


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("villa alemana", "Villa Alemana"),
        ("VIÑA", "Viña del Mar"),
        ("vina del mar", "Viña del Mar"),
        ("nunoa", "Ñuñoa"),
        ("Sta. Cruz", "Santa Cruz"),
        ("Pto. Montt", "Puerto Montt"),
        ("stgo", "Santiago"),
        ("Calera", "Calera"),
        ("La Calera", "Calera"),
        ("Aisén", "Aysén"),
        ("Coihaique", "Coyhaique"),
        ("Llay-Llay", "Llaillay"),
        ("llaillay", "Llaillay"),
        ("Trehuaco", "Treguaco"),
        ("Marchigüe", "Marchihue"),
        ("Paihuano", "Paiguano"),
        ("cabo de hornos", "Cabo de Hornos"),
        ("O’Higgins", "O'Higgins"),
        ("ohiggins", "O'Higgins"),
        ("Til Til", "Tiltil"),
        ("concepsion", "Concepción"),
        ("hola, soy de la comuna de Maipú", "Maipú"),
        ("Villa Alemana, Valparaíso", "Villa Alemana"),
        ("San Pedro, Melipilla", "San Pedro"),
        ("Maipú, Chile", "Maipú"),
        ("5804", "Villa Alemana"),
        ("Chillán", "Chillán"),
        ("Yerbas Buenas", "Yerbas Buenas"),
    ],
)
def test_a_name_is_found_however_it_is_written(typed: str, name: str) -> None:
    found = parse_comuna(typed)

    assert isinstance(found, Comuna)
    assert found.name == name


@pytest.mark.parametrize(
    ("typed", "first", "more"),
    [
        pytest.param("san pedro", "San Pedro", {"San Pedro de la Paz", "San Pedro de Atacama"}, id="a name of three"),
        pytest.param("florida", "Florida", {"La Florida"}, id="without its article"),
        pytest.param("villa al", "Villa Alegre", {"Villa Alemana"}, id="begun"),
        pytest.param("vila alemana", "Villa Alemana", set(), id="slipped"),
        pytest.param("erbas buenas", "Yerbas Buenas", set(), id="courtesy in a name"),
        pytest.param("alemana", "Villa Alemana", set(), id="its second word"),
        pytest.param("vivo cerca de maipu y trabajo", "Maipú", set(), id="in a sentence"),
        pytest.param("Renaca", "Renca", set(), id="a place that is none"),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_only_likely(typed: str, first: str, more: set[str]) -> None:
    found = parse_comuna(typed)

    assert isinstance(found, tuple)
    names = [comuna.name for comuna in found]
    assert first in names
    assert more <= set(names)


@pytest.mark.parametrize("typed", ["", "¿?", "no sé", "99999", "Buenos Aires", "a" * 5000])
def test_what_is_none_finds_none(typed: str) -> None:
    assert parse_comuna(typed) == ()


def test_of_many_some_are_told_and_always_the_same() -> None:
    found = parse_comuna("san")

    assert isinstance(found, tuple)
    assert len(found) == LIKELY_MAX
    assert found == parse_comuna("SAN")


@given(every)
def test_a_code_comes_back(comuna: Comuna) -> None:
    assert parse_comuna(str(comuna)) == comuna


@given(every, st.data())
def test_case_and_accents_do_not_matter(comuna: Comuna, data: st.DataObject) -> None:
    flat = unicodedata.normalize("NFKD", comuna.name)
    kept = "".join(
        sign.upper() if data.draw(st.booleans()) else sign
        for sign in flat
        if not unicodedata.combining(sign) or data.draw(st.booleans())
    )

    found = parse_comuna(kept)

    assert found == comuna or (comuna.name.upper() in SHARED and comuna in found)


@given(every, st.data())
def test_one_slip_is_forgiven(comuna: Comuna, data: st.DataObject) -> None:
    name = plain(comuna.name)
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    slipped = data.draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + letter + name[at:],
                name[:at] + letter + name[at + 1 :],
                name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            ]
        )
    )

    # Three of a letter in a row are read as one, drawn out: more than a slip is gone then.
    assume(len(plain(slipped)) >= len(name) - 1)

    found = parse_comuna(slipped)

    # A slip may make the very name of another, as Colina of Molina: nobody can tell.
    if isinstance(found, Comuna):
        assert found == comuna or found.name in TWINS
    else:
        assert comuna in found


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    found = parse_comuna(text)

    assert isinstance(found, Comuna) or len(found) <= LIKELY_MAX
