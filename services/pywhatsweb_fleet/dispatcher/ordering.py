"""Each sequence once, and in order, whatever the broker's order of redelivery.

When a replica dies, what it left unacknowledged comes to the next one before newer messages, but shuffled. So what
arrives ahead of a gap is held until the gap is filled, or until the broker says that nothing is missing there.
"""

from __future__ import annotations

from typing import Generic, TypeVar

M = TypeVar("M")


class Sequencer(Generic[M]):
    """Puts messages into the order of their sequences. No I/O: whoever uses it asks the broker about gaps.

    What it holds is bounded by the consumer's ``max_ack_pending``: the broker delivers no more unacknowledged.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        """The sequence to be handled next; None while nobody said where to begin."""
        self._held: dict[int, M] = {}

    def begin(self, sequence: int) -> None:
        """Nothing below ``sequence`` is left to do. Never goes back."""
        if self.next is not None and sequence <= self.next:
            return
        self.next = sequence
        for old in [held for held in self._held if held < sequence]:
            del self._held[old]

    def offer(self, sequence: int, message: M) -> bool:
        """Takes a message in; False when it was handled already. A repeat replaces what is held: its ack is newer."""
        if self.next is not None and sequence < self.next:
            return False
        self._held[sequence] = message
        return True

    def take(self, limit: int) -> list[M]:
        """The next messages, without a gap before or between them; they count as handled."""
        if self.next is None:
            return []
        taken: list[M] = []
        while len(taken) < limit and (message := self._held.pop(self.next, None)) is not None:
            taken.append(message)
            self.next += 1
        return taken

    @property
    def stuck(self) -> bool:
        """Whether something is held that cannot be taken yet."""
        return bool(self._held) and (self.next is None or self.next not in self._held)

    def __len__(self) -> int:
        return len(self._held)
