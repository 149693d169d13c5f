"""NATS's JWTs (version 2) made in Python: what an operator signs for accounts, and an account for its users.

A token is ``<header>.<claims>.<signature>``, each base64url; the signature is Ed25519 over the first two. Keys are
nkeys: a kind's prefix and a checksum around an Ed25519 key. nats-server checks the claims and refuses what it cannot
read (ADR-14 of NATS).
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import nkeys

Kind = Literal["operator", "account", "user"]

_PREFIXES: Final = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}
UNLIMITED: Final = -1


class Key:
    """A pair of keys of one kind, made from 32 secret bytes: the same bytes give the same pair."""

    def __init__(self, kind: Kind, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError("a key is made from 32 bytes")
        self._seed = nkeys.encode_seed(secret, _PREFIXES[kind])
        self._pair = nkeys.from_seed(bytearray(self._seed))
        self.public = bytes(self._pair.public_key).decode()

    @property
    def seed(self) -> str:
        return bytes(self._seed).decode()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token whose issuer is this key; ``claims`` hold at least ``sub``, ``name`` and ``nats``."""
        body = {**claims, "iss": self.public, "iat": claims.get("iat", int(time.time()))}
        digest = hashlib.new("sha512_256", msgspec.json.encode(body)).digest()
        body["jti"] = base64.b32encode(digest).rstrip(b"=").decode()
        signed = f"{_part(_HEADER)}.{_part(body)}"
        return f"{signed}.{_text(self._pair.sign(signed.encode()))}"


def derived(kind: Kind, secret: str, purpose: str) -> Key:
    """The key that a secret of ours stands for; ``purpose`` keeps those of one secret apart."""
    return Key(kind, hashlib.sha256(f"pww nkey {kind} {purpose}\x1f{secret}".encode()).digest())


def credentials(token: str, key: Key) -> str:
    """A ``.creds`` file: what clients of every language read."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
    )


def claims(token: str) -> dict[str, Any]:
    """What a token says; its signature is not checked."""
    part = token.split(".")[1]
    found: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _part(value: Mapping[str, Any]) -> str:
    return _text(msgspec.json.encode(value))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
