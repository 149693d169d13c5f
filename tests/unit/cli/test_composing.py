"""What the command line makes of its words before anything is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import commands
from pywhatsweb_fleet.cli.composing import Wish, compose
from pywhatsweb_fleet.cli.exits import CommandError


def wish(**fields: Any) -> Wish:
    whole = {
        "text": None,
        "type": None,
        "content": None,
        "file": None,
        "template": None,
        "language": "pt_BR",
        "var": None,
    }
    return Wish(**(whole | fields))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (wish(text="Olá"), "text"),
        (wish(file=Path("a.jpg"), text="legenda"), "image"),
        (wish(file=Path("a.mp4")), "video"),
        (wish(file=Path("nota.pdf")), "document"),
        (wish(file=Path("fala.ogg"), type="voice"), "voice"),
        (wish(type="location", content='{"latitude": 1.5, "longitude": 2}'), "location"),
        (wish(type="poll", content='{"name": "?", "options": ["a", "b"]}'), "poll"),
        (wish(content='{"body": "Olá"}'), "text"),
    ],
)
def test_a_wish_becomes_a_command_of_the_contract(said: Wish, kind: str) -> None:
    """Once its file has an id."""
    command = compose(said)
    assert command["type"] == kind
    if said.file is not None:
        command[kind]["id"] = "med_1"
    commands.parse("send", msgspec.json.encode({"to": "+5511999990001", **command}))


@pytest.mark.parametrize(
    "said",
    [
        wish(),
        wish(type="location"),
        wish(type="poll", text="?"),
        wish(type="text", file=Path("a.jpg")),
        wish(file=Path("a.ogg"), type="voice", text="no caption"),
        wish(type="location", content="{not json"),
        wish(file=Path("a.jpg"), content="{}"),
        wish(text="x", template="t"),
    ],
)
def test_a_wish_that_cannot_be_is_a_mistake_of_usage(said: Wish) -> None:
    """Nothing is published then."""
    with pytest.raises(CommandError):
        compose(said)
