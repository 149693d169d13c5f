"""Every store that a library user can choose, empty, on the real thing."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb import DjangoORMStore, FileSystemStore, PostgreSQLStore, RedisStore
from pywhatsweb.legacy.stores.base import DocumentStore
from tests.integration.stores import project
from tests.support import block_until

KINDS = ("filesystem", "postgresql", "redis", "django", "django-own-models")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, with every write on the disk before its answer."""
    pytest.importorskip("redis", reason="the extra redis is not installed")
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    arguments = (
        f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly yes --appendfsync always --save ''"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, *arguments.split()], stdout=log, stderr=log)
    import redis

    client = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    try:
        block_until(answers, 20)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        server.kill()
        server.wait(10)


@pytest.fixture(scope="session")
def django_project(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("django", reason="the extra django is not installed")
    project.set_up(tmp_path_factory.mktemp("django") / "db.sqlite3")


Open = Callable[[], DocumentStore]


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store once more each time, as another process would."""
    kind: str = request.param
    if kind == "filesystem":
        return lambda: FileSystemStore(tmp_path / "whatsapp_data")
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
        return lambda: PostgreSQLStore(url)
    if kind == "redis":
        redis_url = request.getfixturevalue("redis_url")
        return lambda: RedisStore(redis_url, prefix=tmp_path.name)
    request.getfixturevalue("django_project")
    project.flush()

    def django() -> DocumentStore:
        store = DjangoORMStore()
        if kind == "django-own-models":
            store.set_models(**project.own_models())
        return store

    return django


@pytest.fixture
def store(opened: Open) -> Iterator[DocumentStore]:
    one = opened()
    yield one
    close: Any = getattr(one, "close", None)
    if close is not None:
        close()
