"""A worker's side of a session for tests: what it was told, what it made durable, and when it commits."""

from __future__ import annotations

from collections.abc import Sequence

from pywhatsweb_fleet.session_worker.engines.port import (
    Engine,
    EngineSession,
    EventUnit,
    KeysUnit,
    OpenSpec,
    Pairing,
    StateChange,
)
from tests.support import wait_until


class Record:
    """What a session's storage holds; outlives its hosts."""

    def __init__(self) -> None:
        self.creds: bytes | None = None
        self.rows: dict[tuple[str, str], bytes] = {}

    def keep(self, unit: KeysUnit) -> None:
        if unit.creds is not None:
            self.creds = unit.creds
        for kind, name, value in unit.rows:
            if value is None:
                self.rows.pop((kind, name), None)
            else:
                self.rows[kind, name] = value


class RecordingHost:
    """Commits at once, unless `hold` is set; `commit` lets go what was held, keys and all, in order."""

    patience_s = 20.0

    def __init__(self, record: Record | None = None, *, hold: bool = False) -> None:
        self.record = record or Record()
        self.hold = hold
        self.states: list[StateChange] = []
        self.units: list[EventUnit | KeysUnit] = []
        self.events: list[EventUnit] = []
        self.loose: list[EventUnit] = []
        self.link: EngineSession | None = None
        self._held: list[EventUnit | KeysUnit] = []

    def state(self, change: StateChange) -> None:
        self.states.append(change)

    def event(self, unit: EventUnit) -> None:
        if unit.unit == 0:
            self.loose.append(unit)
            return
        self.events.append(unit)
        self._take(unit)

    def keys(self, unit: KeysUnit) -> None:
        self._take(unit)

    async def load_keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        rows = self.record.rows
        return {name: rows[kind, name] for name in ids if (kind, name) in rows}

    def _take(self, unit: EventUnit | KeysUnit) -> None:
        self.units.append(unit)
        self._held.append(unit)
        if not self.hold:
            self.commit()

    def commit(self, up_to: int | None = None) -> None:
        """Makes held units durable, all or up to a number."""
        ready = [u for u in self._held if up_to is None or u.unit <= up_to]
        del self._held[: len(ready)]
        for unit in ready:
            if isinstance(unit, KeysUnit):
                self.record.keep(unit)
        if ready and self.link is not None:
            self.link.committed(ready[-1].unit)

    @property
    def now(self) -> str:
        """The latest state's name."""
        return self.states[-1].state if self.states else ""

    @property
    def closed(self) -> StateChange | None:
        return self.states[-1] if self.now == "closed" else None

    def kinds(self, kind: str) -> list[EventUnit]:
        return [e for e in self.events if e.kind == kind]

    async def until(self, *states: str, timeout: float | None = None) -> StateChange:
        patience_s = timeout or self.patience_s
        await wait_until(lambda: self.now in states, patience_s, message=f"state {states}, has {self.states}")
        return self.states[-1]

    async def open(
        self,
        engine: Engine,
        session: str,
        incarnation: int = 1,
        *,
        settings: dict[str, object] | None = None,
        pairing: Pairing | None = None,
    ) -> EngineSession:
        spec = OpenSpec(session, incarnation, self.record.creds, pairing or Pairing(), settings or {})
        self.link = await engine.open(spec, self)
        return self.link
