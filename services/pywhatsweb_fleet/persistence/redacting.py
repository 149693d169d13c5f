"""A person taken out of what somebody else said: JSON keeps its shape, text its other words."""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb_fleet.persistence.person import Person

_json = msgspec.json.Encoder().encode


def without(person: Person, text: str) -> str:
    """The text, or the JSON document in it, without the person; unchanged where they do not occur."""
    if not _may_name(person, text):
        return text
    if text[:1] not in ("{", "["):
        return person.out_of(text)
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return person.out_of(text)
    return _json(_walk(person, value)).decode()


def _may_name(person: Person, text: str) -> bool:
    return person.named_in(text) or any(key in text for key in person.keys)


def _walk(person: Person, value: Any) -> Any:
    if isinstance(value, str):
        return person.out_of(value)
    if isinstance(value, list):
        return [_walk(person, each) for each in value]
    if not isinstance(value, dict):
        return value
    if person.is_one(value):
        # Null rather than a word: readers take these three for addresses and a name.
        return {
            name: None if name in ("pn", "lid", "name") else _walk(person, each)
            for name, each in value.items()
        }
    return {person.out_of(name): _walk(person, each) for name, each in value.items()}
