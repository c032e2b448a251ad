"""An address of e-mail is read as people type it, and nothing that no letter could reach."""

import pytest

from flows.values.email import parse_email


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("ana@sol.example", "ana@sol.example"),
        (" Ana.Rojas+bot@SOL.example ", "ana.rojas+bot@sol.example"),
        ("<ana@sol.example>", "ana@sol.example"),
        ("mailto:ana@sol.example", "ana@sol.example"),
        ("ana@correo.sol.example", "ana@correo.sol.example"),
    ],
)
def test_an_address_is_read(typed: str, read: str) -> None:
    assert parse_email(typed) == read


@pytest.mark.parametrize(
    "typed",
    [
        "", "ana", "ana@", "@sol.example", "ana@sol", "ana@@sol.example", "ana@-sol.example", "ana@sol.example.",
        ".ana@sol.example", "ana..r@sol.example", "ana@sol.e", "ana rojas@sol.example", "a@b.example\nc@d.example",
        "a" * 65 + "@sol.example", "ana@" + "a" * 64 + ".example", "ana@" + "a." * 130 + "example",
    ],
)  # fmt: skip
def test_what_is_none_is_not(typed: str) -> None:
    assert parse_email(typed) is None
