"""Arguments and results of the platform's own control plane: request/reply on ``wa.ops.<noun>.<verb>``.

Only users of the platform's account can ask these; no tenant's account has the subjects. Answers have the envelope of
`control`. A password, an API key or a credentials file stands in the one answer that made it, and nowhere again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct, field

from pywhatsweb.contracts import decoding
from pywhatsweb.contracts.control_data import Args, Name, Note, Nothing, Result, Who
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.errors import ContractError, ErrorCode

Count = Annotated[int, Meta(ge=0, le=10**12)]
Rate = Annotated[float, Meta(ge=0, le=1e6)]
Scope = Literal["send", "read", "board", "manage", "admin"]
UserRights = Literal["full", "publish", "read"]


class Quota(Args, frozen=True, kw_only=True):
    """What is null stays as it is; 0 lifts a limit. Counts of a day begin anew at midnight UTC."""

    sessions: Count | None = None
    commands_per_second: Rate | None = None
    session_commands_per_second: Rate | None = None
    commands_per_day: Count | None = None
    session_commands_per_day: Count | None = None
    new_contacts_per_day: Count | None = None
    """People whom the tenant never wrote to and never heard from."""
    session_new_contacts_per_day: Count | None = None
    """People whom that session never wrote to and never heard from: what WhatsApp minds (463)."""
    queue_messages: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Commands waiting for one session."""
    scheduled_messages: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    stored_event_bytes: Annotated[int, Meta(ge=2**20, le=2**44)] | None = None
    replay_seconds: Annotated[int, Meta(ge=60, le=366 * 86_400)] | None = None
    media_bytes: Count | None = None
    connections: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    webhooks: Count | None = None


class TenantCreate(Args, frozen=True, kw_only=True):
    tenant: Name
    region: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "BR"
    events: Literal["msgpack", "json"] = "msgpack"
    quota: Quota | None = None


class TenantRef(Args, frozen=True, kw_only=True):
    tenant: Name


class TenantChange(Args, frozen=True, kw_only=True):
    tenant: Name
    quota: Quota


class TenantDelete(Args, frozen=True, kw_only=True):
    """Everything of the tenant's, for good. `confirm` repeats its name."""

    tenant: Name
    confirm: Name
    reason: Note
    actor: Who


class ReceiptRef(Args, frozen=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)]


class UserAdd(Args, frozen=True, kw_only=True):
    """Another user of the broker's for a tenant; it connects as ``<tenant>.<user>``."""

    tenant: Name
    user: Name
    rights: UserRights = "full"
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=64)] | None = None


class UserRef(Args, frozen=True, kw_only=True):
    """`user` null: the tenant's first one (which can be rotated, not deleted)."""

    tenant: Name
    user: Name | None = None


class KeyAdd(Args, frozen=True, kw_only=True):
    tenant: Name
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=4)] | None = None
    sessions: Annotated[list[Name], Meta(min_length=1, max_length=256)] | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=3650 * 86_400)] | None = None


class KeyRef(Args, frozen=True, kw_only=True):
    tenant: Name
    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class TenantInfo(Result, frozen=True, kw_only=True):
    """`quota`: as `Quota`, every field with its value."""

    tenant: str
    state: Literal["active", "suspended", "deleting"]
    region: str
    events: str
    created_at: Timestamp | None = None
    quota: dict[str, float]


class TenantList(Result, frozen=True, kw_only=True):
    tenants: list[TenantInfo]


class Login(Result, frozen=True, kw_only=True):
    """How a user gets in at the broker: a password, or a credentials file in operator mode."""

    user: str
    password: str | None = None
    credentials: str | None = None


class TenantCreated(TenantInfo, frozen=True, kw_only=True):
    login: Login
    api_key: str


class UserInfo(Result, frozen=True, kw_only=True):
    user: str
    rights: str
    sessions: list[str] | None = None
    created_at: Timestamp | None = None


class KeyInfo(Result, frozen=True, kw_only=True):
    id: str
    name: str
    scopes: list[str]
    sessions: list[str] | None = None
    created_at: Timestamp | None = None
    expires_at: Timestamp | None = None


class KeyCreated(KeyInfo, frozen=True, kw_only=True):
    key: str


class Entries(Result, frozen=True, kw_only=True):
    """Who may come in: users of the broker, and keys of the gateway."""

    users: list[UserInfo]
    keys: list[KeyInfo]


class TenantReceipt(Result, frozen=True, kw_only=True):
    """`state`: running or done. `counts` are by table, stream, bucket and ``objects``.

    `linked`: sessions whose device could not be unlinked at WhatsApp in time; their credentials are gone all the same,
    and the phone's owner can remove them there.
    """

    id: str
    tenant: str
    state: Literal["running", "done"]
    step: str
    actor: str
    reason: str
    requested_at: Timestamp
    erased_at: Timestamp | None = None
    counts: dict[str, int] = field(default_factory=dict)
    linked: list[str] = field(default_factory=list)


class Verb(NamedTuple):
    args: type[Args]
    result: type[Struct]
    summary: str


VERBS: dict[str, Verb] = {
    "tenant.create": Verb(
        TenantCreate, TenantCreated, "Make a tenant, its streams, its account and first key"
    ),
    "tenant.list": Verb(Nothing, TenantList, "Every tenant"),
    "tenant.show": Verb(TenantRef, TenantInfo, "One tenant and its quota"),
    "tenant.suspend": Verb(TenantRef, TenantInfo, "Cut it off at once; what it has stays"),
    "tenant.resume": Verb(TenantRef, TenantInfo, "Let it in again"),
    "tenant.quota": Verb(TenantChange, TenantInfo, "Change what it may use"),
    "tenant.delete": Verb(
        TenantDelete, TenantReceipt, "Erase everything of it; the receipt tells how far it is"
    ),
    "tenant.receipt": Verb(ReceiptRef, TenantReceipt, "How far an erasure is, and what it erased"),
    "tenant.keys": Verb(TenantRef, Entries, "Its users and API keys, without their secrets"),
    "user.create": Verb(UserAdd, Login, "Another user of the broker's, with rights of its own"),
    "user.rotate": Verb(UserRef, Login, "A new password; who is connected with the old one is cut off"),
    "user.delete": Verb(UserRef, Entries, "End a user at once"),
    "key.create": Verb(KeyAdd, KeyCreated, "Another API key"),
    "key.delete": Verb(KeyRef, Entries, "End an API key at once"),
}


def parse(verb: str, raw: bytes) -> Any:
    """The arguments of the request ``noun.verb`` as its Struct. Raises ContractError and nothing else."""
    known = VERBS.get(verb)
    if known is None:
        raise ContractError(ErrorCode.E_UNKNOWN_VERB)
    args = decoding.decode(raw or b"{}", known.args)
    if isinstance(args, TenantDelete) and args.confirm != args.tenant:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.confirm"})
    return args
