"""The lock files and pyproject.toml say the same; checked without a network."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BASE = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
GROUPS = PYPROJECT["dependency-groups"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")

SOURCES = {
    "fleet": [*BASE, *EXTRAS["fleet"], *EXTRAS["tracing"]],
    "dev": [*BASE, *EXTRAS["fleet"], *EXTRAS["tracing"], *EXTRAS["dev"]],
    "build": GROUPS["build"],
    "node": GROUPS["node"],
    "uv": GROUPS["uv"],
}


def entries(lock: str) -> list[str]:
    """Each pinned package of a lock file with the lines that belong to it."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if PIN.match(entry)]


def pins(lock: str) -> dict[str, str]:
    found = (PIN.match(entry) for entry in entries(lock))
    return {canonicalize_name(match[1]): match[2] for match in found if match}


@pytest.mark.parametrize("lock", SOURCES)
def test_every_requirement_is_pinned_to_a_version_it_allows(lock: str) -> None:
    """After a change in pyproject.toml somebody ran `make lock`."""
    pinned = pins(lock)
    for requirement in map(Requirement, SOURCES[lock]):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements/{lock}.txt: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"requirements/{lock}.txt has {requirement.name} {version}, not {requirement.specifier}: run make lock"
        )


@pytest.mark.parametrize("lock", SOURCES)
def test_nothing_is_pinned_for_a_requirement_that_is_gone(lock: str) -> None:
    """A package that only pyproject.toml asked for leaves the lock with it."""
    asked = {canonicalize_name(Requirement(text).name) for text in SOURCES[lock]}
    for entry in entries(lock):
        direct = re.search(r"# via pywhatsweb \(pyproject\.toml\)\s*$", entry)
        if direct:
            name = entry.partition("==")[0].partition("[")[0]
            assert canonicalize_name(name) in asked, f"{name} is in requirements/{lock}.txt: run make lock"


@pytest.mark.parametrize("lock", SOURCES)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    """What is installed is what was locked, wherever it comes from."""
    for entry in entries(lock):
        assert "--hash=sha256:" in entry
    assert "://" not in (ROOT / "requirements" / f"{lock}.txt").read_text()


def test_production_and_development_use_the_same_versions() -> None:
    """What was tested is what is deployed."""
    development = pins("dev")
    assert {name: development.get(name) for name in pins("fleet")} == pins("fleet")
