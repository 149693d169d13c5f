"""Somebody whose data is asked for: every address, the keys of every chat, and how to find them in bytes and text.

A number is looked for as its digits, a LID as its own, both as whole runs of digits; a chat by its key. So a body of
either encoding, a header, a column and a file are searched in one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import ids
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb.phone import brazil_candidates, parse_recipient
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.storage import people

GONE = "[erased]"
"""Stands where a person was named in what somebody else said."""


class Person(msgspec.Struct, frozen=True, dict=True):
    """``pns`` in E.164, ``lids`` without the ``@lid``, ``keys`` of the chats with this person."""

    pns: tuple[str, ...]
    lids: tuple[str, ...]
    keys: tuple[str, ...]

    @cached_property
    def addresses(self) -> frozenset[str]:
        return frozenset((*self.pns, *self.lids))

    @cached_property
    def _words(self) -> list[str]:
        """Digits first: the longest, so that none hides another."""
        return sorted({*(pn.lstrip("+") for pn in self.pns), *self.lids}, key=lambda word: (-len(word), word))

    @cached_property
    def _digits(self) -> re.Pattern[str]:
        return re.compile(r"\+?(?<!\d)(?:" + "|".join(map(re.escape, self._words)) + r")(?!\d)")

    @cached_property
    def _bytes(self) -> re.Pattern[bytes]:
        words = "|".join(map(re.escape, self._words))
        return re.compile(f"(?<![0-9])(?:{words})(?P<more>[0-9])?|(?:{'|'.join(self.keys)})".encode())

    def named_in(self, text: str) -> bool:
        # Plain searches first: they are some twenty times as fast, and nearly all texts name nobody.
        return any(word in text for word in self._words) and self._digits.search(text) is not None

    def held_by(self, raw: bytes) -> bool:
        """Whether a body, a header or a subject names the person or a chat with the person."""
        more = False
        for found in self._bytes.finditer(raw):
            if found["more"] is None:
                return True
            more = True
        # A longer run of digits, or in MessagePack a small integer after the text: its strings tell.
        return more and self._in_strings(raw)

    def _in_strings(self, raw: bytes) -> bool:
        try:
            value = msgspec.msgpack.decode(raw)
        except msgspec.DecodeError:
            return False  # JSON and plain text have no bytes between texts
        return self.named_in(msgspec.json.encode(value, enc_hook=repr).decode())

    def out_of(self, text: str) -> str:
        """The text without the person's addresses."""
        return self._digits.sub(GONE, text)

    def is_one(self, value: dict[str, Any]) -> bool:
        """Whether a JSON object is this person, as events write people: ``{pn, lid, name}``."""
        return any(
            isinstance(found := value.get(at), str) and found in self.addresses for at in ("pn", "lid")
        )


def subject_digest(who: Asker, person: Person) -> str:
    """What stands for the person in receipts and in the trail: keyed, the same for every address of theirs known."""
    return ids.stable_event_id(who.key, "subject", *sorted(person.keys)[:1])


def resolve(conn: Connection, who: Asker, asked: str) -> Person:
    """Everybody's addresses, from a number or a LID. Raises ContractError (E_INVALID_PHONE).

    A number takes the LID along that it was last seen with; a LID takes its number along as long as that was not seen
    with another LID since: a number that was given to somebody else is theirs.
    """
    try:
        recipient = parse_recipient(asked, who.region)
    except ContractError:
        raise ContractError(ErrorCode.E_INVALID_PHONE, {"path": "$.phone_number"}) from None
    if recipient.kind == "group":
        raise ContractError(
            ErrorCode.E_INVALID_PHONE, {"path": "$.phone_number", "reason": "a group is no person"}
        )
    pns: set[str] = set()
    lids: set[str] = set()
    if recipient.kind == "lid":
        lids.add(recipient.value)
        number = people.number_of(conn, who.id, recipient.value)
        if number is not None and people.lid_of(conn, who.id, number) == recipient.value:
            pns.add(number)
    else:
        pns.add(recipient.value)
    for number in list(pns):
        pns.update(brazil_candidates(number))
    lids.update(lid for number in pns if (lid := people.lid_of(conn, who.id, number)) is not None)
    return of(who, pns, lids)


def of(who: Asker, pns: Iterable[str], lids: Iterable[str]) -> Person:
    numbers, others = tuple(sorted(pns)), tuple(sorted(lids))
    keys = [ids.chat_key(who.key, pn=number) for number in numbers]
    keys += [ids.chat_key(who.key, lid=lid) for lid in others]
    return Person(numbers, others, tuple(keys))
