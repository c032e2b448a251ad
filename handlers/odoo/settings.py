"""What a firm must give so that its Odoo can be told: the database, the login and the API key of a user of our own."""

from collections.abc import Mapping
from typing import Final

DATABASE: Final = "database"
LOGIN: Final = "login"
COMPANY: Final = "company"


def check(options: Mapping[str, str], secret: str) -> None:
    """
    Raises:
        ValueError: what is expected.
    """
    if not {DATABASE, LOGIN} <= set(options) <= {DATABASE, LOGIN, COMPANY}:
        raise ValueError(
            "database=NAME and login=NAME are expected, and company=NUMBER if there are several"
        )
    if not (options[DATABASE] and options[LOGIN]):
        raise ValueError("database and login must not be empty")
    company = options.get(COMPANY, "1")
    if not (company.isascii() and company.isdecimal()):
        raise ValueError("company: the number of a company is expected")
    if not secret:
        raise ValueError("an API key is expected")
