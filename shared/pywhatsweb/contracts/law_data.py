"""Arguments and results of `data.*`, `retention.*` and `audit.*`: what the law (LGPD) asks for, and its trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.control_data import MAX_PUT_BYTES, Args, Key, Page, Result, Who
from pywhatsweb.contracts.event_data import Timestamp


class Asking(Args, frozen=True, kw_only=True):
    """Who asks for what the audit trail keeps: `address` and `correlation_id` as the asker tells them."""

    actor: Who | None = None
    address: Annotated[str, Meta(max_length=128)] | None = None
    correlation_id: Who | None = None


class DataExport(Asking, frozen=True, kw_only=True):
    """A person's data (LGPD art. 18), or all of the tenant's without `phone_number` (a number, or ``lid:…``)."""

    phone_number: Who | None = None


class ExportRef(Args, frozen=True, kw_only=True):
    id: Key


class Export(Result, frozen=True, kw_only=True):
    """`state`: waiting, running, done or failed. When done, `size` and `sha256` are those of a ZIP of JSON and media
    until `expires_at`: by data.download, or media.get with `media_id`; `counts` are its rows by file."""

    id: str
    state: str
    progress: float = 0.0
    """0 to 1."""
    requested_at: Timestamp
    expires_at: Timestamp
    size: int | None = None
    sha256: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    """Catalogue code of one that failed."""
    media_id: str | None = None


class DataDownload(ExportRef, frozen=True, kw_only=True):
    """`offset` and `length` in bytes."""

    offset: Annotated[int, Meta(ge=0)] = 0
    length: Annotated[int, Meta(ge=1, le=MAX_PUT_BYTES)] = MAX_PUT_BYTES


class ExportPart(Result, frozen=True, kw_only=True):
    """The bytes from `offset`; the file ends where `offset` and the part's length reach `size`."""

    id: str
    size: int
    offset: int
    data: bytes


class DataErase(Asking, frozen=True, kw_only=True):
    """`phone_number`: a number, or ``lid:…``. What `reason` says of the person is not kept."""

    phone_number: Who
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    actor: Who


class ErasureRef(Args, frozen=True, kw_only=True):
    id: Key


class ErasureReceipt(Result, frozen=True, kw_only=True):
    """What was erased, where, and when; `subject` is a keyed digest of the person, `signature` is over the rest.

    `state`: running or done; only then `erased_at` and `signature` are there, and nothing changes any more. `counts`
    are by table, stream and kind of object (``…:changed``: the person was taken out of what somebody else said).
    `kept`: what stays and why. `residue`: what could not be rewritten yet, and when it will be.
    """

    id: str
    state: str = "done"
    subject: str
    requested_at: Timestamp
    erased_at: Timestamp | None = None
    actor: str
    reason: str
    counts: dict[str, int]
    kept: dict[str, str] = field(default_factory=dict)
    residue: list[str] = field(default_factory=list)
    signature: str | None = None


RetentionKind = Literal[
    "messages", "statuses", "session_events", "media", "events", "deadletters", "idempotency", "audit"
]


class RetentionSet(Asking, frozen=True, kw_only=True):
    """How many `days` things of a `kind` are kept: 1 to 3650; null: the usual period again."""

    kind: RetentionKind
    days: Annotated[int, Meta(ge=1, le=3650)] | None


class RetentionInfo(Result, frozen=True, kw_only=True):
    """Days by kind, and which of them the tenant chose itself."""

    days: dict[str, int]
    chosen: list[str] = field(default_factory=list)


class AuditVerify(Args, frozen=True, kw_only=True):
    """No arguments: the whole of the tenant's trail is read."""


class AuditVerdict(Result, frozen=True, kw_only=True):
    """`flaw` is the first entry at which the chain does not hold, `reason` how: changed, missing, cut off or rewritten.

    `entries` of the trail as it is now; `first` is its first one (older ones were past their period)."""

    ok: bool
    entries: int
    first: int
    flaw: int | None = None
    reason: str | None = None


class AuditList(Page, frozen=True, kw_only=True):
    action: Who | None = None
    actor: Who | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None


class AuditEntry(Result, frozen=True, kw_only=True):
    """`target` is what it was done to, by a key or digest; `reason` null also when an erasure took it away."""

    id: str
    at: Timestamp
    action: str
    actor: str | None = None
    target: str | None = None
    reason: str | None = None
    address: str | None = None
    correlation_id: str | None = None
    hash: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Audit(Result, frozen=True, kw_only=True):
    entries: list[AuditEntry]
    cursor: str | None = None
