"""The files that hold secrets."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker import secrets


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_they_are_made_once_and_stay(tmp_path: Path) -> None:
    """A second start reads what the first one made; a new tenant is added beside it."""
    first = secrets.load_or_make(tmp_path, ["demo"])
    assert secrets.load_or_make(tmp_path, ["demo"]) == first
    more = secrets.load_or_make(tmp_path, ["demo", "acme"])
    assert more.tenants["demo"] == first.tenants["demo"]
    assert more.platform == first.platform
    assert secrets.load(tmp_path) == more


def test_no_two_are_alike(tmp_path: Path) -> None:
    """Each password and key is random of its own, with 256 bits."""
    made = secrets.load_or_make(tmp_path, ["a", "b"])
    values = [made.platform.password, made.system.password]
    values += [value for tenant in made.tenants.values() for value in (tenant.password, tenant.api_key)]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 43


def test_they_are_the_owners_alone(tmp_path: Path) -> None:
    """Mode 0600, and nothing half written beside them."""
    secrets.load_or_make(tmp_path, ["demo"])
    key = secrets.encryption_key(tmp_path)
    assert mode(tmp_path / secrets.SECRETS_FILE) == mode(key) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {secrets.SECRETS_FILE, secrets.ENCRYPTION_KEY_FILE}


def test_the_encryption_key_stays(tmp_path: Path) -> None:
    """64 hex digits; another one would make every stored credential unreadable."""
    text = secrets.encryption_key(tmp_path).read_text()
    assert len(bytes.fromhex(text.strip())) == 32
    assert secrets.encryption_key(tmp_path).read_text() == text


@pytest.mark.parametrize("name", [secrets.SECRETS_FILE, secrets.ENCRYPTION_KEY_FILE])
@pytest.mark.parametrize("permissions", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, name: str, permissions: int) -> None:
    """With a sentence that says what to do."""
    secrets.load_or_make(tmp_path, ["demo"])
    secrets.encryption_key(tmp_path)
    (tmp_path / name).chmod(permissions)
    read = secrets.load if name == secrets.SECRETS_FILE else secrets.encryption_key
    with pytest.raises(secrets.SecretsError, match=f"chmod 600 .*{name}"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"platform": {"user": "p", "password": 1}}'])
def test_a_broken_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    """It is never replaced by new secrets: the tenants' would be lost. The sentence quotes no value."""
    path = tmp_path / secrets.SECRETS_FILE
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(secrets.SecretsError, match="not what this program wrote"):
        secrets.load_or_make(tmp_path, ["demo"])
    assert path.read_text() == text
