"""0.5's `WhatsWebManager`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload

from pywhatsweb.client import FleetClient
from pywhatsweb.contracts.events import AlertEvent, AnyEvent, SessionEvent, StatusEvent, timestamp
from pywhatsweb.contracts.statuses import MessageStatus, SessionStatus
from pywhatsweb.errors import ErrorCode, PyWhatsWebError, SessionError
from pywhatsweb.legacy.alerts import Alerts
from pywhatsweb.legacy.constants import HEARTBEAT_INTERVAL
from pywhatsweb.legacy.handlers import QUEUE_SIZE, Handler, Handlers
from pywhatsweb.legacy.session import Session
from pywhatsweb.legacy.stores import BaseStore, FileSystemStore
from pywhatsweb.legacy.tenants import Connections, Place

log: Final[logging.Logger] = logging.getLogger("pywhatsweb")

H = TypeVar("H", bound=Handler)

_ENGINES: Final = {"python": "simulated", "nodejs": "baileys"}


class WhatsWebManager:
    """Sessions of one or several tenants. Connects, or starts a fleet, when it is first needed.

    The fleet is the one at `url` (with `user` and `password`, `creds`, or `tenants`: name to user and password), else
    at PWW_NATS_URL, else the one that runs on `data_dir`, else an embedded one: `pww up` as a child, on `data_dir`,
    which `cleanup` stops.

    0.5's arguments mean: `sidecar_type` "python" the simulated engine and "nodejs" WhatsApp itself, for an embedded
    fleet; `sidecar_host`, `sidecar_port`, `sidecar_ws_port` and `api_key` nothing any more (the broker's address and
    credentials took their place) and are only told back by `get_sidecar_info`; `storage` is the program's own store;
    `media_storage` and `lgpd_compliance` are set at the fleet and kept as `config`.
    """

    def __init__(
        self,
        sidecar_host: str = "localhost",
        sidecar_port: int = 3000,
        api_key: str = "secret",
        storage: BaseStore | None = None,
        *,
        sidecar_ws_port: int = 3001,
        sidecar_type: Literal["python", "nodejs"] = "python",
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        creds: str | Path | None = None,
        tenants: Mapping[str, tuple[str, str]] | None = None,
        tenant_id: str | None = None,
        data_dir: str | Path | None = None,
        engine: Literal["simulated", "baileys", "webjs"] | None = None,
        sandbox: bool | None = None,
        auto_start: bool = True,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        queue_size: int = QUEUE_SIZE,
        media_storage: Mapping[str, Any] | None = None,
        lgpd_compliance: Mapping[str, Any] | None = None,
    ) -> None:
        if sidecar_type not in _ENGINES:
            raise ValueError(f"sidecar_type is one of {', '.join(_ENGINES)}")
        self._storage = storage
        self.queue_size = queue_size
        self.heartbeat_interval = heartbeat_interval
        self.config: dict[str, dict[str, Any]] = {
            "media_storage": dict(media_storage or {}),
            "lgpd_compliance": dict(lgpd_compliance or {}),
        }
        self._told = {
            "host": sidecar_host,
            "port": sidecar_port,
            "ws_port": sidecar_ws_port,
            "type": sidecar_type,
        }
        self._has_api_key = bool(api_key)
        self._tenant_id = tenant_id or user
        # "python" was 0.5's simulation, and needs no local WhatsApp; an engine that is named chooses for itself.
        embedded_sandbox = sandbox if sandbox is not None else (False if engine is None else None)
        place = Place(
            url=url,
            user=user,
            password=password,
            creds=creds,
            tenants=tenants,
            data_dir=None if data_dir is None else Path(data_dir),
            engine=engine or _ENGINES[sidecar_type],
            sandbox=embedded_sandbox,
            auto_start=auto_start,
        )
        self.connections: Connections = Connections(place)
        self._sessions: dict[tuple[str | None, str], Session] = {}
        self._lock = threading.RLock()
        self._handlers = Handlers("manager", frozenset(("alert",)), queue_size)
        self._counts: Counter[str] = Counter()
        self._alerts: Alerts | None = None
        self._alerting: concurrent.futures.Future[None] | None = None
        self._began = time.monotonic()
        log.info("PyWhatsWeb manager made")

    @property
    def storage(self) -> Any:
        """The store that was given, else 0.5's ``./whatsapp_data``, which is made when something is saved."""
        if self._storage is None:
            self._storage = FileSystemStore()
        return self._storage

    @storage.setter
    def storage(self, store: BaseStore | None) -> None:
        self._storage = store

    def default_tenant(self) -> str:
        if self._tenant_id is None:
            self._tenant_id = self.connections.place.default_tenant()
        return self._tenant_id

    # Sessions.

    def create_session(self, session_id: str, **kwargs: Any) -> Session:
        """`kwargs`: tenant_id, phone_number, correlation_id, metadata; pairing ("qr" or "code"), proxy, engine.

        Nothing is started before `Session.start`. Raises SessionError for a name that is invalid or taken here.
        """
        with self._lock:
            session = Session(session_id, self, **kwargs)
            if session.tenant_id is None:
                session.tenant_id = self._tenant_id
            if self._known(session_id, session.tenant_id) is not None:
                raise SessionError(ErrorCode.E_SESSION_ALREADY_EXISTS)
            self._sessions[session.tenant_id, session_id] = session
        log.info("session made: %s", session_id)
        return session

    def get_session(self, session_id: str, tenant_id: str | None = None) -> Session | None:
        """One of this manager's, else one that the fleet has (of this tenant), else None."""
        tenant = tenant_id or self._tenant_id
        with self._lock:
            found = self._known(session_id, tenant)
        if found is not None:
            return found
        tenant = tenant or self.default_tenant()
        try:
            info = self.connections.call(tenant, lambda fleet: fleet.sessions.status(session_id))
        except SessionError as error:
            if error.code in (ErrorCode.E_SESSION_NOT_FOUND, ErrorCode.E_INVALID_SESSION_ID):
                return None
            raise
        with self._lock:
            session = self._known(session_id, tenant)
            if session is None:
                session = Session(session_id, self, tenant_id=tenant, phone_number=info.phone_number)
                session.runs = info.desired == "running"
                self._sessions[tenant, session_id] = session
            return session

    def list_sessions(self, tenant_id: str | None = None) -> list[str]:
        """Names: the fleet's (of this tenant, or of every tenant that is in use here) and those not started yet."""
        found = {session_id for _, session_id in self._all(tenant_id)}
        with self._lock:
            found |= {s.session_id for s in self._sessions.values() if tenant_id in (None, s.tenant_id)}
        return sorted(found)

    def get_active_sessions(self, tenant_id: str | None = None) -> list[Session]:
        """Those that are ready to send."""
        active = [key for key, status in self._all(tenant_id).items() if status is SessionStatus.WORKING]
        found = [self.get_session(session_id, tenant) for tenant, session_id in sorted(active)]
        return [session for session in found if session is not None]

    def get_session_count(self, tenant_id: str | None = None) -> int:
        return len(self.list_sessions(tenant_id))

    def remove_session(self, session_id: str, tenant_id: str | None = None) -> bool:
        """Unlinks the device and forgets the session, here and at the fleet; False when there is none."""
        session = self.get_session(session_id, tenant_id)
        if session is None:
            return False
        with self._lock:
            self._sessions = {key: each for key, each in self._sessions.items() if each is not session}
        tenant = session.tenant_id or self.default_tenant()
        try:
            self.connections.call(tenant, lambda fleet: fleet.sessions.delete(session_id))
        except SessionError as error:
            if error.code is not ErrorCode.E_SESSION_NOT_FOUND:
                raise
        session.close()
        return True

    def close_all_sessions(self) -> None:
        """Stops those that this manager started; their devices stay linked."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            if session.started:
                try:
                    session.stop()
                except PyWhatsWebError as error:
                    log.warning("session %s was not stopped: %s", session.session_id, error.code.wire)

    def cleanup(self) -> None:
        """Stops its sessions, ends its connections and its threads, and an embedded fleet. May be called twice."""
        self.close_all_sessions()
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        if self._alerting is not None:
            self._alerting.cancel()
            self._alerting = None
        for session in sessions:
            session.close()
        self._handlers.stop()
        self.connections.close()
        self.connections.place.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    # How everything is.

    def get_sidecar_info(self) -> dict[str, Any]:
        """`base_url` is the fleet's address; what 0.5's arguments said is under `sidecar`."""
        tenant = self.default_tenant()
        url, user, _ = self.connections.place.credentials(tenant)
        fleet = self.connections.open.get(tenant)
        return {
            "base_url": url,
            "ws_url": url,
            "tenant_id": tenant,
            "user": user.user if user is not None else None,
            "connected": fleet is not None and fleet.connected,
            "embedded": self.connections.place.embedded is not None,
            "sidecar": {**self._told, "api_key_set": self._has_api_key},
        }

    def get_health_status(self) -> dict[str, Any]:
        """`uptime` in milliseconds; `metrics` are this manager's own."""
        tenant = self.default_tenant()
        statuses = self._all(None)
        try:
            health = self.connections.call(tenant, lambda fleet: fleet.health())
            parts = {name: part.ok for name, part in health.parts.items()}
            fleet_ok = health.ok
        except PyWhatsWebError as error:
            log.warning("the fleet's health is not to be had: %s", error.code.wire)
            parts, fleet_ok = {}, False
        broken = sum(s in (SessionStatus.FAILED, SessionStatus.BANNED) for s in statuses.values())
        active = sum(s is SessionStatus.WORKING for s in statuses.values())
        components = {
            "sidecar": fleet_ok,
            "websocket": self.connections.client(tenant).connected,
            "storage": parts.get("store", fleet_ok),
            "sessions": broken == 0,
        }
        return {
            "status": "healthy" if all(components.values()) else "unhealthy",
            "timestamp": timestamp(),
            "uptime": int((time.monotonic() - self._began) * 1000),
            "components": {name: "healthy" if ok else "unhealthy" for name, ok in components.items()},
            "sessions": {
                "active": active, "total": len(statuses), "healthy": active, "unhealthy": broken,
            },
            "metrics": {
                name: self._counts[name] for name in ("messagesIn", "messagesOut", "reconnections", "errors")
            },
        }  # fmt: skip

    # Alerts.

    def setup_alerts(self, config: Mapping[str, float]) -> None:
        """Limits: max_reconnection_attempts, max_message_latency_ms, min_active_sessions, max_error_rate.

        `check_interval` (5 s) is how often the last two are looked at. ValueError for another name.
        """
        self._alerts = Alerts(config)
        if self._alerting is None:
            self._alerting = asyncio.run_coroutine_threadsafe(
                self._watch_for_ever(), self.connections.background.loop
            )

    @overload
    def on(self, event: Literal["alert"]) -> Callable[[H], H]: ...
    @overload
    def on(self, event: Literal["alert"], handler: H) -> H: ...
    def on(self, event: Literal["alert"], handler: H | None = None) -> H | Callable[[H], H]:
        return self._handlers.on(event) if handler is None else self._handlers.on(event, handler)

    def counted(self, name: str) -> None:
        self._counts[name] += 1

    async def watch(self, session: Session, event: AnyEvent) -> None:
        """Counts, and alerts, by one event of a session."""
        if isinstance(event, AlertEvent):
            await self._fleet_alert(event)
        bad = isinstance(event, StatusEvent) and event.data.status in (
            MessageStatus.FAILED,
            MessageStatus.REJECTED,
        )
        if bad or (isinstance(event, SessionEvent) and event.data.status is SessionStatus.FAILED):
            self.counted("errors")
        if self._alerts is not None:
            for alert in self._alerts.by_event(session, event):
                await self._alert(alert)

    async def _fleet_alert(self, event: AlertEvent) -> None:
        """What the fleet watches itself, unless `setup_alerts` has a limit of this program's own for it."""
        data = event.data
        if self._alerts is None or data.kind not in self._alerts.kinds:
            told = {"type": data.kind, "session_id": event.session_id, "details": data.details}
            await self._alert(told | {"resolved": data.resolved})

    async def _hear(self, fleet: FleetClient) -> None:
        """Alerts that are no session's: too few work, a reader lags, a stream or a disk fills."""
        while True:
            try:
                async with fleet.events(sessions=["-"], types=["alert"]) as live:
                    async for event in live:
                        if isinstance(event, AlertEvent):
                            await self._fleet_alert(event)
            except PyWhatsWebError as error:
                log.warning("alerts of the fleet: %s; listening again", error.code.wire)
            await asyncio.sleep(1.0)

    async def _watch_for_ever(self) -> None:
        async with asyncio.TaskGroup() as hearing:
            heard: set[str] = set()
            while True:
                alerts = self._alerts
                await asyncio.sleep(5.0 if alerts is None else alerts.check_interval)
                for tenant, fleet in self.connections.open.items():
                    if tenant not in heard:
                        heard.add(tenant)
                        hearing.create_task(self._hear(fleet))
                if alerts is not None:
                    await self._check(alerts)

    async def _check(self, alerts: Alerts) -> None:
        active = 0
        for fleet in self.connections.open.values():
            try:
                found = await fleet.sessions.list()
            except PyWhatsWebError:
                continue
            active += sum(info.status is SessionStatus.WORKING for info in found)
        for alert in alerts.by_time(active, self._counts["messagesOut"], self._counts["errors"]):
            await self._alert(alert)

    async def _alert(self, alert: dict[str, Any]) -> None:
        log.warning("alert: %s", alert["type"])
        await self._handlers.feed("alert", {"timestamp": timestamp(), **alert})

    # Inside.

    def _known(self, session_id: str, tenant: str | None) -> Session | None:
        for (_, name), session in self._sessions.items():
            if name == session_id and (tenant is None or session.tenant_id in (None, tenant)):
                return session
        return None

    def _all(self, tenant_id: str | None) -> dict[tuple[str, str], SessionStatus]:
        with self._lock:
            used = {s.tenant_id for s in self._sessions.values() if s.tenant_id is not None}
        tenants = {tenant_id} if tenant_id is not None else used | {self.default_tenant()}
        found = {}
        for tenant in tenants:
            for info in self.connections.call(tenant, lambda fleet: fleet.sessions.list()):
                found[tenant, info.session_id] = info.status
        return found
