"""What must stay secret, made at random at the first start and kept in the data directory, mode 0600.

``secrets.json`` holds the broker's users and the tenants' api keys; ``encryption.key`` the master key of the
database's and the media's seals. Losing the latter loses every stored credential, so it is a file of its own
that a backup can treat apart.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random
import stat
from pathlib import Path
from typing import Literal

import msgspec

from pywhatsweb_fleet.broker import rights

SECRETS_FILE = "secrets.json"
ENCRYPTION_KEY_FILE = "encryption.key"


class SecretsError(Exception):
    """A secret file cannot be used; the message is a sentence for the operator and holds no secret."""


UserRights = Literal["full", "publish", "read"]


class User(msgspec.Struct, frozen=True):
    """A user of the broker."""

    user: str
    password: str


class TenantUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further user of a tenant's account, with rights of its own (`config.user_rights`)."""

    password: str
    rights: UserRights = "full"
    sessions: tuple[str, ...] | None = None
    """The only sessions that it may send by, ask about and hear of; None: all."""
    created_at: int = 0


class TenantSecrets(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tenant's broker user, and its key at the HTTP gateway."""

    user: str
    password: str
    api_key: str
    users: dict[str, TenantUser] = {}
    """By name; each connects as ``<tenant>.<name>``."""
    suspended: bool = False
    """Nobody of the tenant's gets in."""
    connections: int = 0
    """How many at once; 0: `config.CONNECTIONS`."""
    account: str = ""
    """What the account's keys are made from in operator mode: another one after a tenant was erased and made anew."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """``secrets.json``."""

    platform: User
    """The services' user."""
    system: User
    """Of the broker's own account: for who changes the broker's accounts, and an operator who looks after it."""
    services: dict[str, User] = {}
    """By their names in `rights.SERVICES`."""
    operator: str = ""
    """What the operator's keys are made from, in operator mode."""
    tenants: dict[str, TenantSecrets] = {}


def new_user(name: str) -> User:
    return User(name, random.token_urlsafe(32))


def new_tenant(name: str) -> TenantSecrets:
    return TenantSecrets(
        name,
        random.token_urlsafe(32),
        "pww_" + random.token_urlsafe(32),
        account=random.token_urlsafe(32),
    )


def _complete(tenant: TenantSecrets) -> TenantSecrets:
    """With what an earlier version did not make."""
    if tenant.account:
        return tenant
    return msgspec.structs.replace(tenant, account=random.token_urlsafe(32))


def load(directory: Path) -> Secrets | None:
    """What the directory holds, or None at its first start. Raises SecretsError."""
    path = directory / SECRETS_FILE
    text = _read_private(path)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Secrets)
    except msgspec.DecodeError as error:
        # A validation error names a path, never a value.
        raise SecretsError(f"{path} is not what this program wrote: {error}") from None


def load_or_make(directory: Path, tenants: list[str]) -> Secrets:
    """The directory's secrets, with what is missing made and written. Raises SecretsError."""
    known = load(directory)
    found = known or Secrets(platform=new_user("platform"), system=new_user("system"))
    found = msgspec.structs.replace(
        found,
        services={name: found.services.get(name) or new_user(name) for name in rights.SERVICES},
        operator=found.operator or random.token_urlsafe(32),
        tenants={
            **{name: new_tenant(name) for name in tenants},
            **{name: _complete(tenant) for name, tenant in found.tenants.items()},
        },
    )
    if found != known:
        save(directory, found)
    return found


def save(directory: Path, secrets: Secrets) -> None:
    write_private(directory / SECRETS_FILE, msgspec.json.format(msgspec.json.encode(secrets)) + b"\n")


def encryption_key(directory: Path) -> Path:
    """The file of the master key (64 hex digits), made at the first call. Raises SecretsError."""
    path = directory / ENCRYPTION_KEY_FILE
    if _read_private(path) is None:
        write_private(path, random.token_hex(32).encode() + b"\n")
    return path


def write_private(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600 that is there as a whole or not at all, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{random.token_hex(4)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read_private(path: Path) -> bytes | None:
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsError(f"{path} cannot be read ({error.strerror}).") from None
    with handle:
        mode = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
        if mode & 0o077:
            raise SecretsError(
                f"{path} can be read by others (mode {mode:04o}). Run: chmod 600 {path}; "
                "if somebody may have read it, stop everything and replace what it holds."
            )
        return handle.read()
