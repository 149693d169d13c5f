"""What the workers' engines declare to be capable of, so that a command they cannot do is refused before it is queued.

An engine is capable of what any live worker's is: while a fleet is updated two versions of it may run, and a command
for the newer one is refused by the older with the same code. What no live worker runs stays as it was last declared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec
import structlog

from pywhatsweb.contracts import streams
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket

log = structlog.get_logger(__name__)

_FRESH_S = 1.0
"""Workers are not asked again so soon: a flood of refused commands is no flood of reads."""


class Engines:
    """Read when a command is in doubt; never in the way of one that the engine is known to be capable of."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, streams.WORKERS_BUCKET)
        self._read_at = -1e9
        self.declared: dict[str, frozenset[str]] = {}
        """Engine → names of `contracts.capabilities`; an engine that declares none is not here."""
        self.versions: dict[str, str] = {}
        self.live: frozenset[str] = frozenset()
        """Workers, when they were last read."""

    def lacks(self, engine: str, needs: Iterable[str]) -> str | None:
        """The first of these names that the engine is not capable of; None for an engine that declared nothing."""
        declared = self.declared.get(engine)
        if declared is None:
            return None
        return next((name for name in needs if name not in declared), None)

    def doubtful(self, engine: str, needs: Iterable[str]) -> bool:
        """Whether the workers' records should be read before a command that needs these is decided about."""
        return engine not in self.declared or self.lacks(engine, needs) is not None

    async def refresh(self) -> None:
        """Reads the workers' records, unless that was done just now. A broker that is away changes nothing."""
        if time.monotonic() - self._read_at < _FRESH_S:
            return
        self._read_at = time.monotonic()
        found: dict[str, frozenset[str]] = {}
        try:
            entries = await self._bucket.all()
        except (ApiError, BrokerUnavailable) as error:
            log.warning("cannot read what engines are capable of", error=type(error).__name__)
            return
        self.live = frozenset(entry.key for entry in entries if entry.value is not None)
        for entry in entries:
            try:
                worker = registry.decode_worker(entry.value or b"")
            except msgspec.MsgspecError:
                continue
            for engine, names in worker.capabilities.items():
                found[engine] = found.get(engine, frozenset()) | frozenset(names)
            self.versions |= worker.versions
        self.declared |= found
