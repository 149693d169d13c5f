"""Ownership and statuses as state machines: workers with clocks that freeze, a broker that only compares and sets."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pywhatsweb.contracts.statuses import MessageStatus, may_follow
from pywhatsweb_fleet.session_worker.liveness import _SEEN_DEAD_AFTER_S, FENCE_AFTER_S
from pywhatsweb_fleet.session_worker.sent import Sent

WORKERS = ("a", "b", "c")


class Process:
    """What one worker believes. It acts on this alone, however stale it is."""

    def __init__(self) -> None:
        self.frozen = False
        self.renewed_at = -1e9
        self.epoch: int | None = None
        self.seen: dict[str, float] = {}
        self.listening_since = 0.0


class Ownership(RuleBasedStateMachine):
    """One session. The rules of `liveness` and `keeper`; the constants are theirs."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.sequence = 0
        self.owner: str | None = None
        self.workers = {name: Process() for name in WORKERS}
        self.sent: list[tuple[int, str]] = []
        self.stored: list[int] = []

    def lease(self, name: str) -> float:
        return self.workers[name].renewed_at + FENCE_AFTER_S - self.now

    @rule(seconds=st.floats(0.05, 4))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for name, process in self.workers.items():
            # The sidecar's watchdog runs on its own clock: links are cut even while the worker is frozen.
            if self.lease(name) <= 0:
                process.epoch = None

    @rule(name=st.sampled_from(WORKERS))
    def freeze(self, name: str) -> None:
        self.workers[name].frozen = True

    @rule(name=st.sampled_from(WORKERS))
    def thaw(self, name: str) -> None:
        self.workers[name].frozen = False

    @rule(name=st.sampled_from(WORKERS))
    def restart(self, name: str) -> None:
        """Another process; what the last one owned is still recorded as that of its id."""
        self.workers[name] = Process()
        self.workers[name].listening_since = self.now

    @rule(name=st.sampled_from(WORKERS))
    def renew(self, name: str) -> None:
        process = self.workers[name]
        if process.frozen:
            return
        if self.now - process.renewed_at > FENCE_AFTER_S:
            process.listening_since = self.now
        process.renewed_at = self.now
        for other, peer in self.workers.items():
            if other != name and not peer.frozen:
                peer.seen[name] = self.now

    @rule(name=st.sampled_from(WORKERS))
    def take(self, name: str) -> None:
        process = self.workers[name]
        if process.frozen or self.lease(name) <= 0 or process.epoch is not None:
            return
        if self.owner not in (None, name):
            assert self.owner is not None
            seen = max(process.seen.get(self.owner, -1e9), process.listening_since)
            if self.now - seen < _SEEN_DEAD_AFTER_S:
                return
        self.sequence += 1
        self.owner = name
        process.epoch = self.sequence

    @rule(name=st.sampled_from(WORKERS))
    def act(self, name: str) -> None:
        """Sends over its link, and tells it: the stream refuses another epoch than the newest."""
        process = self.workers[name]
        if process.frozen or process.epoch is None:
            return
        self.sent.append((process.epoch, name))
        if process.epoch == self.sequence:
            self.stored.append(process.epoch)
        else:
            process.epoch = None

    @rule(name=st.sampled_from(WORKERS))
    def give_back(self, name: str) -> None:
        process = self.workers[name]
        if process.frozen or process.epoch is None:
            return
        if process.epoch == self.sequence and self.owner == name:
            self.sequence += 1
            self.owner = None
        process.epoch = None

    @invariant()
    def never_two_owners_in_one_epoch(self) -> None:
        owners: dict[int, str] = {}
        for epoch, name in getattr(self, "sent", ()):
            assert owners.setdefault(epoch, name) == name

    @invariant()
    def no_zombie_is_stored(self) -> None:
        stored = getattr(self, "stored", [])
        assert stored == sorted(stored)

    @invariant()
    def never_two_links(self) -> None:
        """A link is cut before another worker can have taken the session, whoever was frozen."""
        assert sum(p.epoch is not None for p in getattr(self, "workers", {}).values()) <= 1


class Statuses(RuleBasedStateMachine):
    """What is told of one message, whatever comes in whatever order."""

    @initialize()
    def begin(self) -> None:
        self.entry = Sent("c1")
        self.told: list[MessageStatus] = []

    @rule(status=st.sampled_from([s for s in MessageStatus if s.settled]))
    def comes(self, status: MessageStatus) -> None:
        if self.entry.advance(status):
            self.told.append(status)

    @invariant()
    def never_backwards(self) -> None:
        told = getattr(self, "told", [])
        for before, after in itertools.pairwise(told):
            assert may_follow(before, after)
            assert after.rank > before.rank

    @invariant()
    def one_end(self) -> None:
        told = getattr(self, "told", [])
        assert sum(status.rank == MessageStatus.FAILED.rank for status in told) <= 1


TestOwnership = Ownership.TestCase
TestOwnership.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestStatuses = Statuses.TestCase
TestStatuses.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
