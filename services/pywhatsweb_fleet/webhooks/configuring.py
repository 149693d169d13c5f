"""What a webhook's row says: `Config` in the clear, `Secrets` sealed. Both are JSON of this service's own."""

from __future__ import annotations

import msgspec

from pywhatsweb.contracts.webhook_data import Format


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    url: str
    types: list[str] | None = None
    sessions: list[str] | None = None
    format: Format = "pywhatsweb"
    description: str | None = None
    headers: list[str] = []
    """Names alone; their values are among the secrets."""
    history: bool = False

    def wants(self, session: str, kind: str) -> bool:
        return (self.types is None or kind in self.types) and (
            self.sessions is None or session in self.sessions
        )


class Secrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    secret: str
    previous: str | None = None
    previous_until: int = 0
    """Seconds since 1970."""
    headers: dict[str, str] = {}

    def counting(self, seconds: int) -> tuple[str, ...]:
        """The secrets that sign at that time, the present one first."""
        if self.previous is not None and seconds < self.previous_until:
            return (self.secret, self.previous)
        return (self.secret,)


encode = msgspec.json.Encoder().encode
decode_config = msgspec.json.Decoder(Config).decode
decode_secrets = msgspec.json.Decoder(Secrets).decode
