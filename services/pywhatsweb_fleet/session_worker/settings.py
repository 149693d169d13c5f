"""Settings of the session worker; see `pywhatsweb_runtime.settings` for how they are read."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

import msgspec

from pywhatsweb_fleet.media.settings import MediaSettings


class Settings(MediaSettings, frozen=True, kw_only=True):
    database_url: str
    encryption_key: str | None = None
    """32 bytes in hex or base64 that seal the credentials' own keys; several: the first seals, all open."""
    encryption_key_file: str | None = None
    """Where the master keys lie, read again when one is met that is not known yet: so they rotate without a restart."""
    worker_id: str = msgspec.field(default_factory=lambda: "w-" + secrets.token_hex(5))
    engines: str = "simulated,baileys"
    """Kinds of engine that this worker can run, separated by commas."""
    whatsapp_url: str | None = None
    whatsapp_root_key: str | None = None
    whatsapp_ca: str | None = None
    """PEM text, or the path of a PEM file."""
    simulated_state: str | None = None
    """Path of the simulated WhatsApp's own journal, so that it outlives this process."""
    sidecar_dir: str | None = None
    node: str | None = None
    chromium: str | None = None
    """The browser of webjs sessions; the system's Chromium or Chrome when absent."""
    browser_memory_mb: int = 1024
    """What one webjs session's browser may use; beyond it the browser is started anew."""
    data_dir: str = "data"
    profiles_dir: str | None = None
    """Where browsers keep the profiles of webjs sessions while they run; a folder of `data_dir` when absent."""
    pacing: Literal["human", "off", "auto"] = "auto"
    """``auto``: human towards WhatsApp itself, off towards a sandbox and for the simulated engine."""
    ack_timeout_s: float = 60.0
    """How long a send may wait for WhatsApp's acknowledgement before its outcome is ``unknown``."""
    retry_pause_s: float = 5.0
    """Between the three tries of a send that WhatsApp refused for a reason that may pass."""
    cold_hold_s: float = 3600.0
    """After WhatsApp limited a session's reaching out (463): how long it writes to nobody new. 0: not held."""
    heartbeat_s: float = 120.0
    """After so long without a sign of WhatsApp, a WORKING session asks it something; 0: never."""
    heartbeat_timeout_s: float = 20.0
    """How long the answer may take. Two that fail restart the link and raise an alert."""
    alert_latency_s: float = 10.0
    """Alert `high_latency` when one in twenty of a session's sends of five minutes waits longer for WhatsApp's
    acknowledgement; 0: never."""
    alert_error_rate: float = 0.25
    """Alert `high_error_rate` when a greater share of a session's sends of five minutes fails; 0: never."""
    max_sessions: int = 20_000
    connects_per_second: float = 20.0
    """How fast this worker opens links (a storm of logins looks like an attack to WhatsApp)."""
    rebalance_per_second: float = 0.5
    """How fast a worker gives sessions to others that have fewer."""
    replicas: int = 1
    """Of the buckets, should this worker be the first to need them: 1, or 3 on a cluster."""

    @property
    def profiles(self) -> Path:
        return Path(self.profiles_dir or Path(self.data_dir) / "profiles").absolute()
