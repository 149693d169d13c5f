"""Arguments and results of ``consumer.*``: durable readers of a tenant's events.

JetStream keeps a durable's place; the tenant pulls from it on ``$JS.API.CONSUMER.MSG.NEXT.<stream>.<durable>`` and
acknowledges on the reply subjects (``$JS.ACK.…``), which is all of JetStream's API that a tenant has. The fleet's own
durables stand on the same streams, so a tenant's carry a prefix: what is not under it can neither be made nor deleted.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pywhatsweb.contracts.control_data import Args, Name, Result
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.errors import ContractError, ErrorCode

PREFIX = "user-"
"""Of a tenant's durables at JetStream; names in requests and answers are without it."""

MAX_CONSUMERS = 32
"""A tenant may have so many: each costs the broker memory and scans."""
MAX_FILTERS = 64
IDLE_SECONDS = 7 * 86_400
"""A durable that nobody pulls from for so long (the replay window by default) is forgotten."""

ConsumerName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$")]
EventType = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}$")]


class ConsumerCreate(Args, frozen=True, kw_only=True):
    """Only events of these `types` and `sessions` (all, when null).

    `start`: ``new`` events only, ``all`` that are kept, or from a stream ``sequence``. Creating the same again finds
    it; with other types or sessions it is changed and keeps its place; `start` counts only when it is new.
    """

    name: ConsumerName
    types: Annotated[list[EventType], Meta(min_length=1, max_length=MAX_FILTERS)] | None = None
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=MAX_FILTERS)] | None = None
    start: Literal["new", "all", "sequence"] = "new"
    sequence: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    """The first stream sequence to read (``Nats-Sequence`` of an event), for start ``sequence``."""
    ack_wait_s: Annotated[int, Meta(ge=1, le=3600)] = 60
    """What is not acknowledged within it comes again."""
    max_unacknowledged: Annotated[int, Meta(ge=1, le=4096)] = 1024
    idle_s: Annotated[int, Meta(ge=10, le=30 * 86_400)] = IDLE_SECONDS
    """It is forgotten when nobody pulls from it for so long."""


class ConsumerRef(Args, frozen=True, kw_only=True):
    name: ConsumerName


class ConsumerInfo(Result, frozen=True, kw_only=True):
    """`stream` and `durable` are the tokens of the pull subject; sequences are the stream's."""

    name: str
    stream: str
    durable: str
    types: list[str] | None = None
    sessions: list[str] | None = None
    delivered: int = 0
    acknowledged: int = 0
    """Everything up to it is dealt with."""
    pending: int = 0
    """Events that it has not delivered yet."""
    unacknowledged: int = 0
    created_at: Timestamp | None = None


class Consumers(Result, frozen=True, kw_only=True):
    consumers: list[ConsumerInfo]


def check_create(args: ConsumerCreate) -> None:
    """What the types cannot say. Raises ContractError."""
    if (args.start == "sequence") != (args.sequence is not None):
        raise ContractError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "sequence"})
    if len(args.types or [1]) * len(args.sessions or [1]) > MAX_FILTERS:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.sessions", "limit": MAX_FILTERS})
