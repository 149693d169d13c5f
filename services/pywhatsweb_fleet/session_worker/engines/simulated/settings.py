"""What can be set and scripted of the simulated WhatsApp, in ``OpenSpec.settings["simulated"]`` and as defaults.

All times are milliseconds. A time of None means "never".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import CloseReason, EngineError

Millis = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NackCode = Annotated[int, msgspec.Meta(ge=400, le=599)]
Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{7,14}$")]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="fault"):
    """What a send meets. ``to`` (a number, LID or group) narrows it to one recipient.

    ``times`` is how many sends it takes; 0 is for ever.
    """

    to: str | None = None
    times: Annotated[int, msgspec.Meta(ge=0)] = 1


class Pass(Fault, frozen=True, tag="pass"):
    """Nothing happens to it: ``[{"fault": "pass", "times": 3}, {"fault": "nack"}]`` hits the fourth."""


class Nack(Fault, frozen=True, tag="nack"):
    """WhatsApp refuses it: 463 cold contact, 479 stale session, 421 addressing, anything else."""

    code: NackCode = 463


class DropAck(Fault, frozen=True, tag="drop_ack"):
    """No answer ever comes; ``accepted`` tells whether WhatsApp took the message."""

    accepted: bool = True


class CloseLink(Fault, frozen=True, tag="close"):
    """The link closes before WhatsApp takes the message, or after it but before the acknowledgement."""

    reason: CloseReason = "connection_lost"
    when: Literal["before", "after"] = "before"


class Delay(Fault, frozen=True, tag="delay"):
    """Accepted in its turn, acknowledged this much later."""

    ms: Millis = 1000


AnyFault = Pass | Nack | DropAck | CloseLink | Delay


class RandomFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Faults by chance; the same seed, session and order of sends give the same faults."""

    seed: int = 0
    nack: Share = 0.0
    nack_code: NackCode = 479
    drop_ack: Share = 0.0
    close_before: Share = 0.0
    close_after: Share = 0.0
    delay: Share = 0.0
    delay_ms: Millis = 1000
    duplicate: Share = 0.0
    """The share of inbound stanzas that WhatsApp delivers twice."""


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One session's WhatsApp. The defaults show a user without a phone a whole life: paired, sent, read."""

    pair: Literal["auto", "manual"] = "auto"
    pair_after_ms: Millis = 500
    number: Number | None = None
    """The account's own number; by default one made from the session's name."""
    name: str = "Simulated"
    qr_first_ms: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] = 60_000
    qr_next_ms: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] = 20_000
    qr_codes: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 6
    code_expires_ms: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] = 180_000
    restart_after_pairing: bool = True
    """Close with 515 once paired, as WhatsApp does: the session is opened again with its credentials."""
    connect_ms: Millis = 0
    ack_ms: Millis = 0
    delivered_ms: Millis | None = 100
    """After the acceptance, as are the next two."""
    read_ms: Millis | None = 400
    played_ms: Millis | None = 800
    """Audio and voice only."""
    echo_ms: Millis | None = None
    """Contacts answer each message with its own content after so long."""
    absent: tuple[str, ...] = ()
    """Numbers that are not on WhatsApp."""
    key_writes: bool = False
    """A `KeysUnit` a send and an inbound message, as a real engine's ratchets cause."""
    credit: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    script: tuple[AnyFault, ...] = ()
    """Taken from the front by sends; begun once for a session, not at each open."""
    random: RandomFaults | None = None


def read_settings(settings: Mapping[str, Any], defaults: SimulatedSettings) -> SimulatedSettings:
    """A session's settings laid over the engine's defaults. Raises EngineError("E_INVALID_FIELD")."""
    own = settings.get("simulated")
    if not own:
        return defaults
    if not isinstance(own, Mapping):
        raise EngineError("E_INVALID_FIELD", "settings.simulated: Expected `object`")
    merged: dict[str, Any] = {**msgspec.to_builtins(defaults), **own}
    try:
        return msgspec.convert(merged, SimulatedSettings)
    except msgspec.ValidationError as error:
        raise EngineError("E_INVALID_FIELD", f"settings.simulated: {error}") from error
