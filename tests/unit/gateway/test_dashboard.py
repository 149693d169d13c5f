"""The dashboard's files: light, complete in each language, and with nothing from another address."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from pywhatsweb_fleet.gateway import dashboard
from pywhatsweb_fleet.gateway.local import LocalWhatsApp
from pywhatsweb_fleet.gateway.rest import sandbox, tables

FOLDER = dashboard.FOLDER
MODULES = [path for path in FOLDER.rglob("*.js") if "vendor" not in path.parts]
LISTED = re.compile(r'\["[^"]{1,14}", "([A-Z][^"]+)"\]')
"""What a page's table of keys says of each."""
TEXT = re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)+)"')
MOST_BYTES = 200_000
"""Of everything that a first visit loads, one language's texts among it."""


def words_of(language: str) -> set[str]:
    return set(
        re.findall(r'^  "((?:[^"\\]|\\.)+)": "', (FOLDER / f"texts-{language}.js").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("language", ["pt", "es"])
def test_every_text_is_translated(language: str) -> None:
    used = {text for path in MODULES for text in TEXT.findall(path.read_text())}
    assert len(used) > 150
    used |= set(LISTED.findall((FOLDER / "keys.js").read_text()))
    assert used - words_of(language) == set()


def test_all_of_it_is_light() -> None:
    loaded = [path for path in FOLDER.rglob("*") if path.is_file() and path.name != "texts-es.js"]
    packed = sum(len(gzip.compress(path.read_bytes())) for path in loaded)
    plain = sum(path.stat().st_size for path in loaded)
    assert plain < MOST_BYTES
    assert packed < MOST_BYTES / 3


def test_nothing_comes_from_another_address() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in (".js", ".html", ".css") and "vendor" not in path.parts:
            found = re.findall(r"https?://[^\s\"'`]+", path.read_text())
            assert [one for one in found if not one.startswith("http://www.w3.org/")] == [], path.name


def test_what_the_pages_ask_is_there() -> None:
    """Each verb and address in the pages is one of the gateway's."""
    bench = sandbox.routes(LocalWhatsApp("http://127.0.0.1"))
    paths = {route.path for route in (*tables.ROUTES, *bench)}
    for path in MODULES:
        source = path.read_text()
        for verb in re.findall(r'ask\("([a-z_]+\.[a-z_]+)"', source):
            assert f"/v1/{verb.replace('.', '/')}" in paths, (Path(path).name, verb)
        for address in re.findall(r'(?:get|post)\("(/v1/[a-z/]+)"', source):
            assert address in paths, (Path(path).name, address)
