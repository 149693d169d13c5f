"""One account as the simulated WhatsApp keeps it: who it is, what waits for it, what its sends meet."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import CloseReason, Person, Recipient
from pywhatsweb_fleet.session_worker.engines.simulated.journal import Accepted, Stanza
from pywhatsweb_fleet.session_worker.engines.simulated.settings import (
    AnyFault,
    CloseLink,
    Delay,
    DropAck,
    Nack,
    Pass,
    RandomFaults,
    SimulatedSettings,
)

if TYPE_CHECKING:
    from pywhatsweb_fleet.session_worker.engines.simulated.link import SimulatedSession

PASS = Pass()


def invented_number(session: str) -> str:
    """A well-formed Brazilian mobile number that stands for a session; the same at every start."""
    digest = int.from_bytes(hashlib.blake2b(session.encode(), digest_size=8).digest(), "big")
    return f"+55119{digest % 100_000_000:08d}"


def invented_lid(number: str) -> str:
    """The LID that this WhatsApp knows a number by: 15 digits."""
    digest = int.from_bytes(hashlib.blake2b(number.encode(), digest_size=8, person=b"lid").digest(), "big")
    return str(100_000_000_000_000 + digest % 900_000_000_000_000)


def known_person(pn: str | None, lid: str | None) -> dict[str, Any]:
    """A contact as this WhatsApp tells it: it knows the LID of every number, not the number of every LID."""
    return {"pn": pn, "lid": lid or (invented_lid(pn) if pn else None)}


def chat_of(to: Recipient | None) -> dict[str, Any]:
    if to is None:
        return {"pn": None, "lid": None, "group": None}
    if to.group:
        return {"pn": None, "lid": None, "group": to.group}
    return {**known_person(to.pn, to.lid), "group": None}


class Debt(NamedTuple):
    """An accepted message, and which of its statuses (or ``echo``) were delivered already."""

    record: Accepted
    paid: set[str]


class Account:
    """Slots and lazily made containers: 10,000 idle ones must cost little."""

    __slots__ = (
        "about",
        "barred",
        "blocked",
        "device",
        "link",
        "name",
        "number",
        "owed",
        "pairing",
        "pending",
        "script",
        "script_source",
        "sends",
        "session",
    )

    def __init__(self, session: str) -> None:
        self.session = session
        self.device: str | None = None
        self.barred: CloseReason | None = None
        """Why earlier credentials are worth nothing, when they are."""
        self.about: str | None = None
        self.blocked: dict[str, dict[str, Any]] | None = None
        """By LID."""
        self.number: str | None = None
        self.name: str | None = None
        self.link: SimulatedSession | None = None
        self.pairing: SimulatedSession | None = None
        """A device that waits to be linked; the one that is logged in stays until then."""
        self.pending: deque[Stanza] | None = None
        self.owed: dict[str, Debt] | None = None
        """By message id: accepted before this process began, with statuses that may still be due."""
        self.script: list[AnyFault] | None = None
        self.script_source: tuple[AnyFault, ...] = ()
        self.sends = 0

    def me(self) -> Person:
        number = self.number or invented_number(self.session)
        return Person(pn=number, lid=invented_lid(number), name=self.name)

    def load_script(self, settings: SimulatedSettings) -> None:
        """Begins the settings' script once, and anew only when it changed: reopening must not repeat it."""
        if settings.script and settings.script != self.script_source:
            self.script_source = settings.script
            self.script = [*(self.script or ()), *settings.script]

    def next_fault(self, recipient: str | None, random: RandomFaults | None) -> AnyFault:
        """Takes the next send's fate from the script, else from chance."""
        self.sends += 1
        for index, fault in enumerate(self.script or ()):
            if fault.to is None or fault.to == recipient:
                self._use(index, fault)
                return fault
        if random is not None:
            return self._by_chance(random)
        return PASS

    def _use(self, index: int, fault: AnyFault) -> None:
        if self.script is None or fault.times == 0:
            return
        left = fault.times - 1
        if left:
            self.script[index] = msgspec.structs.replace(fault, times=left)
        else:
            del self.script[index]
            if not self.script:
                self.script = None

    def _by_chance(self, random: RandomFaults) -> AnyFault:
        draw = chance(random.seed, self.session, self.sends)
        for share, fault in (
            (random.nack, Nack(code=random.nack_code)),
            (random.drop_ack, DropAck()),
            (random.close_before, CloseLink(when="before")),
            (random.close_after, CloseLink(when="after")),
            (random.delay, Delay(ms=random.delay_ms)),
        ):
            if draw < share:
                return fault
            draw -= share
        return PASS


def chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that depends on nothing else: no generator is kept a session."""
    text = "\x1f".join(map(str, (seed, *parts))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
