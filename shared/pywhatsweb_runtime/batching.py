"""One stream's messages on their way: few go as singles at once, many share an atomic batch (ADR-50 of NATS).

A stream flushes every single message to disk before its acknowledgement, and a batch only a few times, whatever is in
it. Measured on nats-server 2.15.1 (``sync_interval: always``, 300-byte events, an fsync of 0.17 ms), milliseconds:

    pipelined singles     0.18 to 0.27 a message; 1.1 to 1.7 while other processes keep the disk busy
    a batch of 32         3 to 6           a batch of 128   6 to 11
    a batch of 64         5 to 8           a batch of 256   15

    2,000 at once         singles / this, a message: one stream 1.3 / 0.16, 20 streams 0.13 / 0.10;
                          three replicas on one box 0.07 / 0.05; without ``sync_interval: always`` 0.04 / 0.09

So about twenty singles cost as much as a batch: so many go at once, which adds nothing while a stream has little to do.
Either singles are in flight or one batch, and the rest waits: that keeps the order whatever is refused or lost.

A replicated stream refuses a fenced message (``Nats-Expected-Last-Subject-Sequence``) while another with the same fence
is on its way through the replicas, unless both are in one batch. There, of each fence at most one single is in flight;
what comes meanwhile shares the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from pywhatsweb_runtime.bus import IN_PROCESS, ApiError, BrokerUnavailable

_WINDOW: Final = 20
"""Singles in flight, beyond which messages wait for a batch."""
_SMALLEST, _LARGEST = 12, 256
"""Bounds of a batch, in messages. A refused one halves the next, since a bad message spoils its neighbours' batch."""
_BATCH_BYTES: Final = 2 * 2**20
_NO_STREAM_S, _NO_STREAM_PAUSE_S = 2.0, 0.2
"""How long a stream may be absent before its messages fail, and when to look again. A replicated one, whose replicas
take up to 9 s to elect a leader, is waited for until the messages' deadline."""
_IN_PROCESS_PAUSE_S: Final = 0.02
_ATOMIC_DISABLED: Final = 10174
_ASK_AGAIN_S: Final = 60.0
"""A stream that takes no batches (it was not brought up to date yet) is not tried again before."""


class PubAck(msgspec.Struct, frozen=True):
    """Where the message is; ``duplicate``: the stream had its ``Nats-Msg-Id`` already (``seq`` is the first one's)."""

    stream: str
    seq: int
    duplicate: bool = False


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    count: int = 0
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Message:
    """A message from its submit to its verdict.

    ``head``: its header lines, encoded. ``fence``: the subject whose last sequence it expects. ``alone``: never in a
    batch. ``gone``: its time was over before a verdict.
    """

    __slots__ = (
        "alone",
        "data",
        "deadline",
        "fence",
        "future",
        "gone",
        "head",
        "line",
        "sent_at",
        "subject",
        "tried_at",
    )

    def __init__(
        self,
        subject: str,
        head: bytes,
        data: bytes,
        line: Line,
        *,
        deadline: float,
        fence: str | None = None,
        alone: bool = False,
    ) -> None:
        self.subject = subject
        self.head = head
        self.data = data
        self.line = line
        self.deadline = deadline
        self.fence = fence
        self.alone = alone
        self.gone = False
        self.tried_at = 0.0
        """When it was first sent."""
        self.sent_at = 0.0
        self.future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()


class Way(Protocol):
    """What a line needs of its publisher. Nothing here waits."""

    @property
    def open(self) -> bool:
        """Whether something may be sent now."""
        ...

    @property
    def replicated(self) -> bool:
        """Whether streams may have replicas."""
        ...

    def now(self) -> float: ...

    def token(self, line: Line) -> int:
        """A new reply token; its answer is given to the line."""
        ...

    def close_token(self, token: int) -> None:
        """Nothing is to be told of this token any more."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...

    def send(self, message: Message, token: int | None, extra: bytes = b"") -> None:
        """Writes one message with ``extra`` header lines; without a token, nobody answers it."""
        ...

    def settled(self, message: Message) -> None:
        """The message has its verdict."""
        ...


class Line:
    """The messages of one stream, in the order of the calls."""

    __slots__ = (
        "_atomic",
        "_batch",
        "_batch_token",
        "_heard_at",
        "_highest",
        "_largest",
        "_name",
        "_no_batches_before",
        "_singles",
        "_stalled",
        "_waiting",
        "_way",
    )

    def __init__(self, way: Way, *, atomic: bool, name: Callable[[], str]) -> None:
        """``atomic``: whether the stream may take batches; ``name``: makes a new batch's id."""
        self._way = way
        self._atomic = atomic
        self._name = name
        self._singles: dict[int, Message] = {}
        self._batch: list[Message] = []
        self._batch_token = 0
        self._waiting: deque[Message] = deque()
        self._largest = _LARGEST
        self._no_batches_before = 0.0
        self._stalled = False
        self._heard_at = 0.0
        self._highest = 0

    @property
    def holds_back(self) -> bool:
        """Whether messages wait here, unsent."""
        return bool(self._waiting)

    def idle_since(self, moment: float) -> bool:
        return self._heard_at < moment and not (self._singles or self._batch or self._waiting)

    def put(self, message: Message) -> None:
        self._waiting.append(message)
        self.pump()

    def pump(self) -> None:
        """Sends what may go now."""
        while self._waiting and not self._batch and not self._stalled and self._way.open:
            now = self._way.now()
            if count := self._singly(now):
                self._send_singles(self._take(count), now)
            elif self._singles:
                return
            else:
                self._send_together(now)

    def _singly(self, now: float) -> int:
        """How many of those that wait may go as singles now; 0: they go together, when nothing else is in flight."""
        batches = self._atomic and now >= self._no_batches_before
        waiting = len(self._waiting)
        if batches and waiting + len(self._singles) > _WINDOW:
            return 0
        if not self._way.replicated:
            return waiting
        apart = self._apart()
        return apart if apart == waiting or not batches or self._waiting[0].alone else 0

    def _apart(self) -> int:
        """How many of those that wait come before the first whose fence is on its way."""
        fences = {message.fence for message in self._singles.values() if message.fence is not None}
        for count, message in enumerate(self._waiting):
            if message.fence in fences:
                return count
            if message.fence is not None:
                fences.add(message.fence)
        return len(self._waiting)

    def again(self) -> None:
        """Sends anew what is unanswered, in order: as singles, since a part of it may be stored already."""
        now = self._way.now()
        if self._batch:
            self._to_singles(now)
        else:
            self._heard_at = now
            for token, message in self._singles.items():
                message.sent_at = now
                self._way.send(message, token)
        self.pump()

    def lost(self, before: float) -> bool:
        """Whether something sent ``before`` that time seems lost: nothing was heard since, or only of younger ones."""
        if self._batch:
            return self._heard_at < before
        for token, message in self._singles.items():
            return message.sent_at < before and (self._heard_at < before or token < self._highest)
        return False

    def drop(self, message: Message) -> None:
        """Forgets a message whose time is over (it may be in the stream or not)."""
        message.gone = True
        for token, single in self._singles.items():
            if single is message:
                del self._singles[token]
                self._way.close_token(token)
                break
        # One that waits is left out when its turn comes; one in a batch gets no verdict any more.
        self.pump()

    def answered(self, token: int, data: bytes) -> None:
        now = self._heard_at = self._way.now()
        answer = _read(data)
        if self._batch and token == self._batch_token:
            self._batch_answered(answer, now)
        elif (message := self._singles.get(token)) is not None:
            self._highest = max(self._highest, token)
            if isinstance(answer, _NoStream) and (
                self._way.replicated or now - message.tried_at < _NO_STREAM_S
            ):
                self._stall(_NO_STREAM_PAUSE_S)
                return
            if _in_process(answer):
                self._stall(_IN_PROCESS_PAUSE_S)
                return
            del self._singles[token]
            self._way.close_token(token)
            if isinstance(answer, Exception):
                self._settle(message, answer)
            else:
                self._settle(message, PubAck(answer.stream, answer.seq, answer.duplicate))
        self.pump()

    def _stall(self, seconds: float) -> None:
        """What is in flight is sent again a little later; what is younger waits for it."""
        if not self._stalled:
            self._stalled = True
            self._way.later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._stalled = False
        if self._way.open:
            self.again()

    def _batch_answered(self, answer: _Answer | Exception, now: float) -> None:
        batch = self._batch
        if _in_process(answer):
            self._take_back()
            self._stall(_IN_PROCESS_PAUSE_S)
            return
        if isinstance(answer, Exception) or answer.count != len(batch):
            if isinstance(answer, ApiError) and answer.code == _ATOMIC_DISABLED:
                self._no_batches_before = now + _ASK_AGAIN_S
            self._largest = max(_SMALLEST, len(batch) // 2)
            self._to_singles(now)
            return
        self._batch = []
        self._way.close_token(self._batch_token)
        self._largest = min(_LARGEST, 2 * self._largest)
        first = answer.seq - answer.count + 1
        for place, message in enumerate(batch):
            self._settle(message, PubAck(answer.stream, first + place))

    def _to_singles(self, now: float) -> None:
        """Each message of the batch is to get its own verdict; those that were stored are removed as repeats."""
        if self._way.replicated:
            for message in self._batch:
                message.alone = True
            self._take_back()
            return
        batch, self._batch = self._batch, []
        self._way.close_token(self._batch_token)
        self._send_singles([message for message in batch if not message.gone], now)

    def _take_back(self) -> None:
        """What is in the batch waits again, first of all."""
        self._waiting.extendleft(reversed(self._batch))
        self._batch = []
        self._way.close_token(self._batch_token)

    def _take(self, most: int) -> list[Message]:
        """The next of those that wait, without those whose time is over."""
        taken = [self._waiting.popleft() for _ in range(most)]
        return [message for message in taken if not message.gone]

    def _send_singles(self, messages: list[Message], now: float) -> None:
        if not self._singles:
            self._heard_at = now
        for message in messages:
            token = self._way.token(self)
            self._singles[token] = message
            message.sent_at = now
            message.tried_at = message.tried_at or now
            self._way.send(message, token)

    def _send_together(self, now: float) -> None:
        count = size = 0
        for message in self._waiting:
            size += len(message.head) + len(message.data)
            if count == self._largest or message.alone or (count and size > _BATCH_BYTES):
                break
            count += 1
        batch = self._take(max(1, count))
        if len(batch) < (2 if self._way.replicated else _SMALLEST):
            self._send_singles(batch, now)
            return
        self._batch = batch
        self._batch_token = token = self._way.token(self)
        self._heard_at = now
        name = self._name()
        last = len(batch)
        for number, message in enumerate(batch, 1):
            lines = f"Nats-Batch-Id: {name}\r\nNats-Batch-Sequence: {number}\r\n"
            if number < last:
                self._way.send(message, None, lines.encode())
            else:
                self._way.send(message, token, f"{lines}Nats-Batch-Commit: 1\r\n".encode())

    def _settle(self, message: Message, verdict: PubAck | Exception) -> None:
        if message.gone:
            return
        self._way.settled(message)
        if message.future.done():
            return
        if isinstance(verdict, PubAck):
            message.future.set_result(verdict)
        else:
            message.future.set_exception(verdict)


class _NoStream(BrokerUnavailable):
    """No responders: the stream is not there, or not yet."""


def _in_process(answer: _Answer | Exception) -> bool:
    return isinstance(answer, ApiError) and answer.code in IN_PROCESS


def _read(data: bytes) -> _Answer | Exception:
    if not data:
        return _NoStream("no stream takes this subject")
    try:
        answer = _decode(data)
    except msgspec.DecodeError:
        return BrokerUnavailable("the broker's answer does not decode")
    if answer.error is not None:
        return ApiError(answer.error.err_code, answer.error.description)
    return answer
