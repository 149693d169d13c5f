"""The data directory: its lock, the ports it remembers, and what a crash left in it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pywhatsweb_fleet.up import datadir
from pywhatsweb_fleet.up.datadir import Layout, Ports, StartError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


def test_the_lock_is_for_one(layout: Layout) -> None:
    """A second holder is told who the first one is; afterwards it is free."""
    again = pytest.raises(StartError, match=f"process {psutil.Process().pid}")
    assert datadir.holder(layout) is None
    with datadir.locked(layout), again, datadir.locked(layout):
        pytest.fail("locked twice")
    with datadir.locked(layout):
        assert datadir.holder(layout) == psutil.Process().pid
    with datadir.locked(layout):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With the system's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="data directory"):
        Layout(tmp_path / "file" / "data").make()


def test_ports_are_remembered(layout: Layout) -> None:
    """The next start has the same ones while they are free, and others when they are not."""
    first = Ports(layout)
    nats, http = first.choose("nats"), first.choose("http")
    assert nats != http
    first.save()
    second = Ports(layout)
    assert (second.choose("nats"), second.choose("http")) == (nats, http)
    with socket.create_server(("127.0.0.1", nats)):
        assert Ports(layout).choose("nats") != nats
        with pytest.raises(StartError, match=f"port {nats}"):
            Ports(layout).choose("nats", nats)


def test_the_usual_port_is_taken_only_when_nothing_was_asked(layout: Layout) -> None:
    """0 asks for any free one; None for the usual one, if it is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        usual = int(server.getsockname()[1])
        assert Ports(layout).choose("nats", None, usual) != usual
    assert Ports(layout).choose("nats", None, usual) == usual
    assert Ports(layout).choose("nats", 0, usual) != usual


def test_a_broken_ports_file_is_no_obstacle(layout: Layout) -> None:
    """What it remembered is a convenience."""
    layout.ports.write_text("{")
    assert Ports(layout).choose("nats") > 0


def test_leftovers_are_ended_and_strangers_spared(layout: Layout) -> None:
    """A process counts as ours only with the start time written down: numbers are used again."""
    ours, stranger = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)
    )
    try:
        datadir.remember(layout, [("dispatcher", ours.pid), ("gone", 2**22 - 1)])
        later = f',{{"name":"x","pid":{stranger.pid},"started":{time.time() - 1000}}}]'
        layout.processes.write_text(layout.processes.read_text().replace("]", later))
        datadir.end_leftovers(layout)
        assert not psutil.pid_exists(ours.pid)
        assert stranger.poll() is None
        assert not layout.processes.exists()
        datadir.end_leftovers(layout)
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait(5)


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Mode 0600 also when it replaces another, and no temporary is left."""
    path = tmp_path / "ready.json"
    path.write_text("old")
    datadir.replace(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert [found.name for found in tmp_path.iterdir()] == ["ready.json"]
