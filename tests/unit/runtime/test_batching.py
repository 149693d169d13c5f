"""The line of one stream against a scripted broker: order, a verdict each, once, whatever is lost or refused."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pywhatsweb_runtime.batching import Line, Message, PubAck
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

FENCED, DISABLED, REPEATED, FENCE_IN_PROCESS, ID_IN_PROCESS = 10071, 10174, 10201, 10164, 10158


class Sent(NamedTuple):
    name: str
    token: int | None
    batch: str
    commit: bool


class Script:
    """A connection and a stream behind it: nothing moves before the test says so.

    ``replicated``: what was taken is stored only when its answer is under way, and refuses the like of it until then.
    """

    def __init__(
        self, *, refused: frozenset[str] = frozenset(), atomic: bool = True, replicated: bool = False
    ) -> None:
        self.open = True
        self.replicated = replicated
        self.proposed: deque[tuple[list[str], int | None, bool]] = deque()
        self.fences: dict[str, str] = {}
        self.conflicts = 0
        self.time = 0.0
        self.to_broker: deque[Sent] = deque()
        self.to_us: deque[tuple[int, bytes]] = deque()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.stored: list[str] = []
        self.batches: list[int] = []
        self.refused = refused
        self.atomic = atomic
        self.absent = False
        self.verdicts: set[str] = set()
        self._staged: dict[str, list[str]] = {}
        self._tokens: set[int] = set()
        self._count = 0
        self.line = Line(self, atomic=True, name=self._name)

    def _name(self) -> str:
        self._count += 1
        return f"b{self._count}"

    # What the line calls.

    def now(self) -> float:
        return self.time

    def token(self, line: Line) -> int:
        self._count += 1
        self._tokens.add(self._count)
        return self._count

    def close_token(self, token: int) -> None:
        self._tokens.discard(token)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((self.time + seconds, call))

    def send(self, message: Message, token: int | None, extra: bytes = b"") -> None:
        assert self.open, "nothing is sent while the connection is gone"
        fields = dict(line.split(": ") for line in extra.decode().split("\r\n")[:-1])
        self.to_broker.append(
            Sent(message.subject, token, fields.get("Nats-Batch-Id", ""), "Nats-Batch-Commit" in fields)
        )

    def settled(self, message: Message) -> None:
        assert message.subject not in self.verdicts, "one verdict a message"
        self.verdicts.add(message.subject)

    # What the test calls.

    def submit(self, name: str, *, alone: bool = False, fence: str | None = None) -> Message:
        message = Message(name, b"", b"", self.line, deadline=1e9, fence=fence, alone=alone)
        if fence is not None:
            self.fences[name] = fence
        self.line.put(message)
        return message

    def take(self) -> None:
        """The broker deals with the next command."""
        if not self.to_broker:
            return
        sent = self.to_broker.popleft()
        if self.absent:
            if sent.token is not None:
                self.to_us.append((sent.token, b""))
        elif sent.batch:
            staged = self._staged.setdefault(sent.batch, [])
            staged.append(sent.name)
            if sent.commit:
                self._commit(self._staged.pop(sent.batch), sent.token)
        else:
            self._single(sent)

    def _single(self, sent: Sent) -> None:
        if sent.name in self.stored:
            self._answer(sent.token, seq=self.stored.index(sent.name) + 1, duplicate=True)
        elif sent.name in self.refused:
            self._answer(sent.token, error={"err_code": FENCED, "description": "wrong last sequence"})
        elif code := self._conflict([sent.name]):
            self._answer(sent.token, error={"err_code": code, "description": "in process"})
        else:
            self._propose([sent.name], sent.token, batch=False)

    def _conflict(self, names: list[str]) -> int:
        """What the replicas have before them of the same id or fence."""
        under_way = [name for proposal in self.proposed for name in proposal[0]]
        fences = {self.fences[name] for name in under_way if name in self.fences}
        if any(name in under_way for name in names):
            return ID_IN_PROCESS
        if any(self.fences.get(name) in fences for name in names):
            self.conflicts += 1
            return FENCE_IN_PROCESS
        return 0

    def _propose(self, names: list[str], token: int | None, *, batch: bool) -> None:
        self.proposed.append((names, token, batch))
        if not self.replicated:
            self.apply()

    def apply(self) -> None:
        """The replicas agree on the oldest of what was taken."""
        names, token, batch = self.proposed.popleft()
        self.stored += names
        if batch:
            self.batches.append(len(names))
            self._answer(token, seq=len(self.stored), count=len(names))
        else:
            self._answer(token, seq=len(self.stored))

    def _commit(self, names: list[str], token: int | None) -> None:
        code = (
            DISABLED
            if not self.atomic
            else REPEATED
            if any(name in self.stored for name in names)
            else FENCED
            if any(name in self.refused for name in names)
            else self._conflict(names)
        )
        if code:
            self._answer(token, error={"err_code": code, "description": "refused"})
            return
        self._propose(names, token, batch=True)

    def _answer(self, token: int | None, **fields: object) -> None:
        if token is not None:
            self.to_us.append((token, json.dumps({"stream": "S", **fields}).encode()))

    def hear(self) -> None:
        """The next answer reaches us."""
        if self.proposed and not self.to_us:
            self.apply()
        if self.to_us:
            token, data = self.to_us.popleft()
            if token in self._tokens:
                self.line.answered(token, data)

    def cut(self, *, taken: int) -> None:
        """The connection breaks: the broker still takes ``taken`` commands, everything else under way is lost."""
        for _ in range(taken):
            self.take()
        self._staged.clear()
        self.to_broker.clear()
        self.to_us.clear()
        self.open = False

    def reconnect(self) -> None:
        self.open = True
        self.line.again()

    def wait(self, seconds: float) -> None:
        self.time += seconds
        due = [call for at, call in self.timers if at <= self.time]
        self.timers = [(at, call) for at, call in self.timers if at > self.time]
        for call in due:
            call()
        if self.open and self.line.lost(self.time - 2.0):
            self.line.again()

    def run(self) -> None:
        """Everything that moves by itself, to the end."""
        for _ in range(100_000):
            if self.to_broker:
                self.take()
            elif self.to_us or self.proposed:
                self.hear()
            elif self.timers:
                self.wait(1.0)
            else:
                return
        raise AssertionError("it does not come to rest")


def verdict(message: Message) -> str:
    if not message.future.done():
        return "open"
    error = message.future.exception()
    if error is None:
        return "stored"
    return f"refused {error.code}" if isinstance(error, ApiError) else type(error).__name__


async def test_few_messages_go_at_once_and_many_share_a_batch() -> None:
    """Up to the window nothing waits; what comes on top goes in one batch when the singles are answered."""
    script = Script()
    messages = [script.submit(f"m{n}") for n in range(200)]
    assert [sent.batch for sent in script.to_broker] == [""] * 20
    script.run()
    assert script.stored == [f"m{n}" for n in range(200)]
    assert script.batches == [180]
    assert [message.future.result().seq for message in messages] == list(range(1, 201))
    last = script.submit("later")
    script.run()
    assert (last.future.result(), script.batches) == (PubAck("S", 201), [180])


async def test_a_refused_message_does_not_poison_its_neighbours() -> None:
    """One stale fence in the middle refuses the batch; as singles each gets its own verdict, in order."""
    script = Script(refused=frozenset(("m70",)))
    messages = [script.submit(f"m{n}") for n in range(100)]
    script.run()
    assert script.stored == [f"m{n}" for n in range(100) if n != 70]
    assert [verdict(m) for m in messages] == ["refused 10071" if n == 70 else "stored" for n in range(100)]


async def test_a_stream_without_batches_gets_singles() -> None:
    """A stream that was not brought up to date refuses its first batch; no other is tried for a while."""
    script = Script(atomic=False)
    messages = [script.submit(f"m{n}") for n in range(300)]
    script.run()
    messages += [script.submit(f"n{n}") for n in range(300)]
    assert not any(sent.batch for sent in script.to_broker)
    script.run()
    assert [verdict(m) for m in messages] == ["stored"] * 600
    assert len(script.stored) == 600


async def test_a_rollup_goes_alone_and_in_its_place() -> None:
    """A batch ends before a message that may not be in one."""
    script = Script()
    for n in range(100):
        script.submit(f"m{n}", alone=n in (50, 51))
    script.run()
    assert script.stored == [f"m{n}" for n in range(100)]
    assert script.batches == [30, 48]


async def test_a_lost_answer_of_a_batch() -> None:
    """Its messages are sent again as singles, found stored already, and what waited comes after them."""
    script = Script()
    messages = [script.submit(f"m{n}") for n in range(60)]
    while not script.batches:
        if not script.to_broker:
            script.hear()
        script.take()
    script.to_us.clear()
    messages += [script.submit(f"m{n}") for n in range(60, 80)]
    script.wait(2.5)
    script.run()
    assert script.stored == [f"m{n}" for n in range(80)]
    assert [m.future.result().duplicate for m in messages] == [20 <= n < 60 for n in range(80)]


async def test_replicas_see_one_message_of_a_fence_at_a_time() -> None:
    """Where fences exclude one another, those of several sessions go at once, and what comes meanwhile in a batch."""
    script = Script(replicated=True)
    messages = [script.submit(f"m{n}", fence=f"s{n % 4}") for n in range(4)]
    messages += [script.submit(f"m{n}", fence=f"s{n % 4}", alone=n == 9) for n in range(4, 20)]
    assert [sent.name for sent in script.to_broker] == ["m0", "m1", "m2", "m3"]
    script.run()
    assert script.stored == [f"m{n}" for n in range(20)]
    assert (script.conflicts, script.batches) == (0, [5, 7])
    assert {verdict(message) for message in messages} == {"stored"}


async def test_a_fence_that_somebody_else_is_at_is_tried_again() -> None:
    """A take of the session is on its way through the replicas: the event is neither refused nor overtaken."""
    script = Script(replicated=True)
    script.fences["take"] = "s1"
    script.proposed.append((["take"], None, False))
    messages = [script.submit(f"m{n}", fence="s1") for n in range(3)]
    for _ in range(3):
        script.take()
        script.line.answered(*script.to_us.popleft())
        script.wait(0.1)
    assert {verdict(message) for message in messages} == {"open"}
    script.run()
    assert script.conflicts > 0
    assert script.stored == ["take", "m0", "m1", "m2"]


async def test_an_absent_stream_is_waited_for_a_little() -> None:
    """While a leader is elected nobody answers: the order is kept, and after two seconds it is an error."""
    script = Script()
    script.absent = True
    messages = [script.submit(f"m{n}") for n in range(30)]
    for _ in range(40):
        script.take()
        script.hear()
    assert {verdict(m) for m in messages} == {"open"}
    script.absent = False
    script.run()
    assert script.stored == [f"m{n}" for n in range(30)]
    script.absent = True
    lost = script.submit("lost")
    script.run()
    assert isinstance(lost.future.exception(), BrokerUnavailable)


async def test_what_expires_is_left_out() -> None:
    """A message whose time is over while it waits is not sent any more, and its neighbours are."""
    script = Script()
    messages = [script.submit(f"m{n}") for n in range(100)]
    for gone in (messages[0], messages[40]):
        gone.future.cancel()
        script.settled(gone)
        script.line.drop(gone)
    script.run()
    assert script.stored == [f"m{n}" for n in range(100) if n != 40]


STEPS = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 60)),
    st.tuples(st.just("take"), st.integers(1, 80)),
    st.tuples(st.just("hear"), st.integers(1, 80)),
    st.tuples(st.just("cut"), st.integers(0, 80)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)


@given(
    st.lists(STEPS, max_size=30),
    st.sets(st.integers(0, 400), max_size=6),
    st.sets(st.integers(0, 400), max_size=3),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_order_and_verdicts_survive_anything(
    steps: list[tuple[str, int]], refused: set[int], alone: set[int], replicated: bool
) -> None:
    """Any mix of submits, answers, cuts and silences: each accepted message is stored once, in order, and is told."""

    async def scenario() -> None:
        script = Script(refused=frozenset(f"m{n}" for n in refused), replicated=replicated)
        messages: list[Message] = []
        for what, count in steps:
            if what == "submit":
                for _ in range(count):
                    number = len(messages)
                    fence = f"s{number % 3}" if number % 2 else None
                    messages.append(script.submit(f"m{number}", alone=number in alone, fence=fence))
            elif what == "cut":
                script.cut(taken=count)
                if count % 2:  # some submits meet a connection that is gone
                    messages.append(script.submit(f"m{len(messages)}"))
                script.reconnect()
            elif what == "wait":
                script.wait(count)
            else:
                for _ in range(count):
                    script.take() if what == "take" else script.hear()
        script.run()
        assert script.stored == [f"m{n}" for n in range(len(messages)) if n not in refused]
        for number, message in enumerate(messages):
            assert verdict(message) == ("refused 10071" if number in refused else "stored")
            if number not in refused:
                assert script.stored[message.future.result().seq - 1] == f"m{number}"

    asyncio.run(scenario())
