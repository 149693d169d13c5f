"""Ending with one's parent: what a supervisor starts must not outlive it, however it died."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """A ``preexec_fn`` after which the kernel sends ``number`` when the parent dies; None where there is no such thing.

    Linux only (prctl(2), kept across execve): elsewhere whoever starts next must look for what was left. The kernel
    watches the *thread* that forked, so start children from a thread that lives as long as the process.
    """
    if not sys.platform.startswith("linux"):
        return None
    # Loaded before the fork: between fork and exec nothing may be imported or allocated that a lock guards.
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died between the fork and the request
            os._exit(1)

    return ask
