"""Arguments and results of ``consent.*``, ``contact.opt_out`` and ``contact.opt_in``: whom a tenant may write to.

An opt-out is of the person, whichever of their addresses is named, and for all of the tenant's sessions. While it
stands, commands of the purpose ``marketing`` are rejected (E_CONTACT_OPTED_OUT), and others too unless the person wrote
again to that session since, and not longer ago than `ANSWER_DAYS`. A consent is what a person agreed to, for one
purpose; it is kept as evidence and allows nothing by itself that an opt-out forbids.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final, Literal

from msgspec import Meta

from pywhatsweb.contracts.content import AwareTime
from pywhatsweb.contracts.control_data import MAX_CHECK, Args, Key, Note, Page, Result, Who
from pywhatsweb.contracts.event_data import Person, Timestamp
from pywhatsweb.errors import ContractError, ErrorCode

ANSWER_DAYS: Final = 7
"""For so long after their last message somebody who opted out before it may be answered."""
USUAL_WORDS: Final = ("pare", "parar", "sair", "stop", "cancelar", "descadastrar", "unsubscribe")
MAX_WORDS: Final = 50
MAX_WORD: Final = 64
"""A message that is longer, normalised, is no such word."""

Purpose = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""What for, in the tenant's own words: ``marketing``, ``reminders`` …"""
Source = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(max_length=4000)]
OptOutSource = Literal["word", "request"]


class PersonArgs(Args, frozen=True, kw_only=True):
    """A person, by exactly one of `to` (a number or ``lid:…``) and `chat` (a key)."""

    to: Who | None = None
    chat: Key | None = None


class OptChange(PersonArgs, frozen=True, kw_only=True):
    reason: Note | None = None
    by: Who | None = None


class ConsentRecord(PersonArgs, frozen=True, kw_only=True):
    """What the person agreed to (`text`), where (`source`) and when (`at`; now by default). Replaces the last one."""

    purpose: Purpose
    source: Source
    text: Words | None = None
    at: AwareTime | None = None
    by: Who | None = None


class ConsentWithdraw(PersonArgs, frozen=True, kw_only=True):
    purpose: Purpose
    reason: Note | None = None
    by: Who | None = None


class ConsentCheck(Args, frozen=True, kw_only=True):
    """At most 500 numbers or LIDs; `purpose`: whether each has agreed to that."""

    numbers: Annotated[list[Who], Meta(min_length=1, max_length=MAX_CHECK)]
    purpose: Purpose | None = None


class CampaignDeclare(Args, frozen=True, kw_only=True):
    """Many are about to be written to: on which basis (`purpose`: a consent to it; else `basis`, in words), and how
    many."""

    campaign: Who
    purpose: Purpose | None = None
    basis: Note | None = None
    people: Annotated[int, Meta(ge=0)]
    by: Who | None = None


class Declared(Result, frozen=True, kw_only=True):
    at: Timestamp


class ConsentList(Page, frozen=True, kw_only=True):
    purpose: Purpose | None = None


class WordsSet(Args, frozen=True, kw_only=True):
    """Replaces the words. An empty list: no word opts anybody out."""

    words: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=MAX_WORD)]], Meta(max_length=MAX_WORDS)
    ]
    by: Who | None = None


class OptOut(Result, frozen=True, kw_only=True):
    """Since when, and how: by one of the words, or asked for (`by`). `key` is the chat's.

    `person`: in `consent.opt_outs`, of whom there is a chat; an opt-out itself keeps no address.
    """

    key: str
    at: Timestamp
    source: OptOutSource
    word: str | None = None
    session_id: str | None = None
    """To which the word was written."""
    by: str | None = None
    person: Person = Person()


class OptOuts(Result, frozen=True, kw_only=True):
    opt_outs: list[OptOut]
    cursor: str | None = None


class Consent(Result, frozen=True, kw_only=True):
    key: str
    purpose: str
    source: str
    text: str | None = None
    at: Timestamp
    by: str | None = None
    withdrawn_at: Timestamp | None = None
    withdrawn_by: str | None = None
    person: Person = Person()


class Consents(Result, frozen=True, kw_only=True):
    consents: list[Consent]
    cursor: str | None = None


class ContactConsents(Result, frozen=True, kw_only=True):
    """Everything that is known of whether the person may be written to."""

    key: str
    opt_out: OptOut | None = None
    consents: list[Consent]


class CheckedConsent(Result, frozen=True, kw_only=True):
    """`error` is the catalogue code of a number that is none. `consented_at`: of a consent that stands.

    `key` is the same for every address of a person.
    """

    number: str
    key: str | None = None
    pn: str | None = None
    opted_out: bool = False
    consented_at: Timestamp | None = None
    error: str | None = None


class CheckedConsents(Result, frozen=True, kw_only=True):
    """In the order of the numbers."""

    people: list[CheckedConsent]


class WordsInfo(Result, frozen=True, kw_only=True):
    """As they are compared: without case, accents and punctuation."""

    words: list[str]
    usual: bool
    """Nothing else was set."""


def normalise(text: str) -> str:
    """How a message is held against the words: letters and digits of any script, without case and accents.

    Empty for a text that is too long to be one word or phrase of them.
    """
    if len(text) > 4 * MAX_WORD:
        return ""
    if text.isascii():
        kept = _NOT_WORD.sub(" ", text.lower())
    else:
        bare = unicodedata.normalize("NFKD", text).casefold()
        kept = "".join(
            char if char.isalnum() else "" if unicodedata.category(char) in _DROPPED else " " for char in bare
        )
    words = " ".join(kept.split())
    return words if len(words) <= MAX_WORD else ""


_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_DROPPED: Final = ("Mn", "Mc", "Me", "Cf")
"""Marks, which stand on letters, and characters without a shape."""


def check_words(args: WordsSet) -> None:
    """Raises ContractError for a word that no message could be."""
    for at, word in enumerate(args.words):
        if not normalise(word):
            raise ContractError(
                ErrorCode.E_INVALID_FIELD, {"path": f"$.words[{at}]", "reason": "no letter or digit"}
            )
