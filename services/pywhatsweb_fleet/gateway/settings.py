"""What an operator can set for the gateway, in the environment under ``PWW_``."""

from __future__ import annotations

from pywhatsweb_runtime.service import ServiceSettings


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    http_host: str = "127.0.0.1"
    """Loopback unless told otherwise: beyond it, TLS belongs to a proxy in front, or to `http_tls_cert`."""
    http_port: int = 8080
    """0: any free one."""
    http_secure_cookies: bool | None = None
    """Whether browsers are told to send the dashboard's cookie over TLS only: unless set, when not on loopback."""
    http_tls_cert: str | None = None
    """A PEM file with the certificate, and what leads up to its authority: the gateway then speaks HTTPS alone."""
    http_tls_key: str | None = None
    """Its key, a PEM file."""
    cors_origins: str = ""
    """Origins (comma-separated) whose pages may call from a browser; none by default."""
    max_body_bytes: int = 1_500_000
    """Above the largest command in JSON (512 KiB of media in base64)."""
    max_file_bytes: int = 100 * 1024 * 1024
    """The largest upload; at least the largest of the fleet's own limits (`PWW_MEDIA_DOCUMENT_BYTES`)."""
    file_timeout_s: float = 900.0
    """For an upload, or a download, altogether."""
    request_timeout_s: float = 75.0
    """For a whole request but event streams; above the longest ``?wait``."""
    body_timeout_s: float = 15.0
    """For a request's headers, and then for its body: a client that drips is cut."""
    key_rate: float = 2000.0
    """Requests a second of one key, on average; `key_burst` at once. All replicas together."""
    key_burst: int = 4000
    address_rate: float = 20.0
    """Refused authentications a second of one address; `address_burst` at once."""
    address_burst: int = 60
    streams_per_key: int = 1000
    """Event streams (SSE, WebSocket) that one key may hold open."""
    heartbeat_s: float = 15.0
    slow_after_s: float = 20.0
    """A reader of events that takes nothing for so long is cut; it resumes by its last sequence."""
    sandbox_url: str | None = None
    """The local WhatsApp's control interface, where there is one: the dashboard then has a page for it."""
    replicas: int = 1

    @property
    def loopback(self) -> bool:
        return self.http_host in ("127.0.0.1", "::1", "localhost")

    @property
    def cookies_secure(self) -> bool:
        return not self.loopback if self.http_secure_cookies is None else self.http_secure_cookies

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())
