"""What every part of a session worker uses, made once in `app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pywhatsweb_fleet.media.links import Links
from pywhatsweb_fleet.media.opening import Shelf
from pywhatsweb_fleet.session_worker.optouts import OptOuts
from pywhatsweb_fleet.session_worker.settings import Settings
from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.group_commit import GroupCommit
from pywhatsweb_fleet.storage.media_fetches import Fetch
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.direct import Reader
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Deps:
    settings: Settings
    bus: Bus
    publisher: Publisher
    reader: Reader
    store: Store
    group: GroupCommit
    keyring: Keyring
    metrics: Metrics
    write_credentials: Callable[[Connection, Sequence[credentials.Write]], Sequence[Exception | None]]
    """`credentials.write_many` with the keyring: one and the same function, so that sessions share a commit."""
    shelf: Shelf | None = None
    """Stored files; None where there is no place for them."""
    links: Links | None = None
    fetching: Callable[[Fetch], Awaitable[None]] | None = None
    """Takes note of a message's file that is to be fetched from WhatsApp; durable when it returns."""
    optouts: OptOuts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "optouts", OptOuts(self.store))
