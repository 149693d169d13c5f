"""Masking of what a sidecar says, and finding Node and the sidecar's program."""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.engines.sidecar.node import find_node, node_launch, sidecar_directory
from pywhatsweb_fleet.session_worker.engines.sidecar.relay import masked, masked_value


@given(st.text(max_size=30), st.from_regex(r"[0-9]{7,30}", fullmatch=True), st.text(max_size=30))
def test_long_runs_of_digits_never_pass(before: str, digits: str, after: str) -> None:
    """Wherever a number stands, no seven digits in a row are left."""
    assert not re.search(r"\d{7}", masked(before + digits + after))


@given(st.binary(min_size=32, max_size=64))
def test_keys_never_pass(key: bytes) -> None:
    """Key material as base64 or hex leaves no long piece of itself."""
    for form in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), key.hex()):
        assume(re.search(r"[0-9A-Z]", form))
        assert masked(f"key={form};") == "key=#;"


def test_words_and_places_pass() -> None:
    """A log stays readable."""
    line = "TypeError: x is not a function at file:///srv/sidecar-node/src/engines/baileys/session.ts:12:7"
    assert masked(line) == line


def test_values_are_masked_within() -> None:
    """Through maps and lists, by type, and no deeper than is useful."""
    value = {"a": [secrets.token_bytes(8), 5511999990000, 3, True, None], "b": {"c": {"d": {"e": "deep"}}}}
    assert masked_value(value) == {"a": ["#", "#", 3, True, None], "b": {"c": {"d": "#"}}}


def test_the_program_is_found_in_the_repository() -> None:
    """An editable install needs no setting; a wrong one is told where it looked."""
    assert (sidecar_directory() / "src" / "main.ts").is_file()
    with pytest.raises(EngineError, match="/nowhere"):
        sidecar_directory(Path("/nowhere"))


async def test_an_old_or_absent_node_is_refused_in_words(tmp_path: Path) -> None:
    """What was found and what is needed."""
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v22.17.1\n")
    old.chmod(0o755)
    with pytest.raises(EngineError, match=r"Node 22\.18 or newer is needed; found: .*v22\.17\.1"):
        await find_node(old)
    with pytest.raises(EngineError, match="no answer"):
        await find_node(tmp_path / "absent")


async def test_a_node_is_found() -> None:
    """This environment has one; the launch runs the sidecar's program, with nothing of our environment."""
    launch = await node_launch()
    assert Path(launch.command[-1]).name == "main.ts"
    assert {name.partition("_")[0] for name in launch.env} == {"MALLOC", "NODE"}
    assert Path(launch.env["NODE_COMPILE_CACHE"]).is_relative_to(Path(launch.command[-1]).parents[1])
