"""What the login page is made of; how it behaves, `tests/whole/test_login_page.py` tries in a browser."""

import pytest

from tests.bot.identity.conftest import House
from tests.bot.people.conftest import BUTCHERY


async def shown(house: House, path: str, **headers: str) -> tuple[int, str]:
    async with house.http.get(path, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "accepts", "title"),
    [
        pytest.param("/login", "", "Ingresar a Panadería Sol", id="the platform's, by default"),
        pytest.param("/login", "en-GB,en;q=0.9", "Sign in to Panadería Sol", id="as the browser"),
        pytest.param("/login?locale=es_CL", "en", "Ingresar a Panadería Sol", id="as it was asked"),
        pytest.param("/login", "fr-FR", "Ingresar a Panadería Sol", id="a language we do not have"),
        pytest.param(
            f"/login?tenant={BUTCHERY.id}", "es", "Ingresar a Carnes Luna", id="at a firm"
        ),
        pytest.param("/login?tenant=x", "es", "Ingresar a Panadería Sol", id="at no firm"),
    ],
)
async def test_whose_page_it_is_and_in_which_language(
    house: House, path: str, accepts: str, title: str
) -> None:
    status, page = await shown(house, path, **{"Accept-Language": accepts})

    assert status == 200
    assert f"<title>{title}</title>" in page


async def test_a_firm_that_is_not_there_has_no_page(house: House) -> None:
    status, _ = await shown(house, "/login?tenant=00000000-0000-4000-8000-000000000000")

    assert status == 404


@pytest.mark.parametrize("name", ["locale", "return_to", "tenant", "x"])
async def test_nothing_that_was_asked_becomes_part_of_the_page(house: House, name: str) -> None:
    sly = "\"'><script>alert(1)</script>"
    async with house.http.get("/login", params={name: sly}) as answer:
        page = await answer.text()

    assert "<script>alert" not in page
    assert page.count("<script") == 1


@pytest.mark.parametrize("path", ["/login", "/login/login.js", "/login/login.css"])
async def test_the_page_runs_nothing_but_its_own(house: House, path: str) -> None:
    async with house.http.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]

        assert answer.status == 200
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await shown(house, "/login/login.html"))[0] == 404
    assert (await shown(house, "/login/..%2f..%2fkeys.py"))[0] == 404
