"""A linked device of the simulated WhatsApp: what is shown to link it, and what it keeps."""

from __future__ import annotations

import base64
import secrets

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import EngineError

_CODE_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


class Credentials(msgspec.Struct, frozen=True):
    """What a simulated device keeps of itself; opaque to everybody else."""

    device: str
    number: str
    name: str
    version: int = 1


def read_credentials(creds: bytes) -> Credentials:
    """Raises EngineError("E_WHATSAPP_BAD_SESSION")."""
    try:
        return msgspec.msgpack.decode(creds, type=Credentials)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(
            "E_WHATSAPP_BAD_SESSION", "these are not a simulated session's credentials"
        ) from error


def written_credentials(creds: Credentials) -> bytes:
    """What `read_credentials` reads."""
    return msgspec.msgpack.encode(creds)


def invented_code() -> str:
    """Eight characters of the alphabet that WhatsApp's pairing codes use."""
    return "".join(secrets.choice(_CODE_ALPHABET) for _ in range(8))


def invented_qr() -> str:
    """Formed and as long as WhatsApp Web's own, and worth nothing."""
    ref = base64.b64encode(secrets.token_bytes(156)).decode()
    keys = ",".join(base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(3))
    return f"https://wa.me/settings/linked_devices#2@{ref},{keys},1"
