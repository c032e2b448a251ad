"""What the documents point at is there."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK: Final = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
FILE: Final = re.compile(r"`((?:bot|flows|handlers|tests)/[\w/.]+\.\w+)`")


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")

    links = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    files = [file for file in FILE.findall(text) if not (ROOT / file).exists()]

    assert (links, files) == ([], [])
