"""How a command ends: exit codes that a script can tell apart, and the sentence that a person reads."""

from __future__ import annotations

from typing import Any

OK = 0
FAILED = 1
"""What was asked was refused, or ended otherwise than asked."""
USAGE = 2
UNREACHABLE = 3
"""The broker, or the service that answers, cannot be reached."""
TIMED_OUT = 4
INTERRUPTED = 130
"""As a shell reports a process that SIGINT ended."""


class CommandError(Exception):
    """A command's end, told to the person: what happened and, in ``action``, what to do."""

    def __init__(
        self, sentence: str, *, exit_code: int = FAILED, action: str = "", error: dict[str, Any] | None = None
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
        self.action = action
        self.error = error
        """The control plane's error body, where there is one."""
