"""The verbs that the owner of a session answers, by asking WhatsApp: part of `control.VERBS`."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import live_data as lv

BUDGET_S: Final = 20.0
"""How long WhatsApp may take."""
ASK_S: Final = 25.0
"""How long to wait for the answer: after that nobody gives one."""


class LiveVerb(NamedTuple):
    args: type[d.Args]
    result: type[Struct]
    summary: str
    acts: bool = False
    """It changes something at WhatsApp: without an answer its outcome is unknown."""


VERBS: Final[dict[str, LiveVerb]] = {
    "contact.check": LiveVerb(d.ContactCheck, d.CheckedNumbers, "Which numbers are on WhatsApp"),
    "contact.info": LiveVerb(
        lv.ContactAsk, lv.ContactDetails, "What WhatsApp tells of a person: about, picture, business"
    ),
    "contact.picture": LiveVerb(lv.ContactPictureAsk, lv.Picture, "Where a person's picture is"),
    "contact.block": LiveVerb(lv.ContactAct, lv.Acted, "Take nothing from a person any more", acts=True),
    "contact.unblock": LiveVerb(lv.ContactAct, lv.Acted, "Take it again", acts=True),
    "contact.blocked": LiveVerb(d.SessionRef, lv.Blocked, "Whom the account has blocked"),
}


def acts(verb: str) -> bool:
    """Whether ``noun.verb`` changes something at WhatsApp."""
    known = VERBS.get(verb)
    return known is not None and known.acts
