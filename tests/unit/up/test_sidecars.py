"""Which of a worker's children are told as sidecars."""

from __future__ import annotations

import os
import subprocess
import sys

from pywhatsweb_fleet.up import supervisor

_WAIT = (sys.executable, "-c", "import sys; sys.stdin.read()")


def test_only_leaders_of_a_session_are_sidecars() -> None:
    """A process that looks at a picture comes and goes; it is no sidecar that was restarted."""
    with (
        subprocess.Popen(_WAIT, stdin=subprocess.PIPE, start_new_session=True) as sidecar,
        subprocess.Popen(_WAIT, stdin=subprocess.PIPE) as pictures,
    ):
        found = supervisor._sidecars_of(os.getpid())
        assert sidecar.pid in found
        assert pictures.pid not in found
        for child in (sidecar, pictures):
            child.communicate()


def test_a_worker_that_is_gone_has_none() -> None:
    with subprocess.Popen(_WAIT, stdin=subprocess.PIPE) as gone:
        gone.communicate()
    assert supervisor._sidecars_of(gone.pid) == []
