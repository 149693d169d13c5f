"""The broker's configuration as text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker.config import BrokerConfig, render, tenant_imports
from pywhatsweb_fleet.broker.process import server_binary
from pywhatsweb_fleet.broker.secrets import Secrets, TenantSecrets, User

# Names that another reading of the format would take for a number, a truth value, a variable or a size.
AWKWARD = ["acme", "123", "true", "off", "1e5", "10k", "a-b_c", "0", "z" * 63]


def secrets_of(*tenants: str) -> Secrets:
    return Secrets(
        platform=User("platform", 'p"\\$x{'),
        system=User("system", "s"),
        tenants={name: TenantSecrets(name, "secret-of-" + name, "key") for name in tenants},
    )


def config(tmp_path: Path, **extra: object) -> BrokerConfig:
    return BrokerConfig(store_dir=tmp_path / "store", port=4222, **extra)  # type: ignore[arg-type]


def validated(tmp_path: Path, text: str) -> tuple[int, str]:
    path = tmp_path / "nats.conf"
    path.write_text(text)
    done = subprocess.run([server_binary(), "-t", "-c", path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_same_input_gives_the_same_text(tmp_path: Path) -> None:
    """A start that changes nothing writes nothing: the order of the tenants does not matter."""
    assert render(config(tmp_path), secrets_of("a", "b")) == render(config(tmp_path), secrets_of("b", "a"))


def test_nats_server_accepts_every_name_that_a_tenant_may_have(tmp_path: Path) -> None:
    """Names and passwords are quoted: none is read as a number, a truth value or a variable."""
    code, output = validated(tmp_path, render(config(tmp_path, monitor_port=8222), secrets_of(*AWKWARD)))
    assert code == 0, output


def test_streams_are_flushed_kept_and_encrypted_when_asked(tmp_path: Path) -> None:
    """What the server's defaults would get wrong is set."""
    text = render(config(tmp_path, encryption_key="k" * 32), secrets_of("acme"))
    for wanted in ("sync_interval: always", "default_max_consumers: -1", 'host: "127.0.0.1"', "cipher: aes"):
        assert wanted in text
    assert "http:" not in text
    code, output = validated(tmp_path, text)
    assert code == 0, output


def test_a_foreign_import_does_not_load(tmp_path: Path) -> None:
    """The exports are pinned: nats-server itself refuses a configuration in which a tenant takes another's events."""
    text = render(config(tmp_path), secrets_of("a", "b"))
    for subject in [*tenant_imports("a")[0], *tenant_imports("a")[1]]:
        foreign = subject.replace("_a.", "_b.").replace(".a.", ".b.")
        assert foreign != subject
        before, _, after = text.rpartition('\n  "a" {')
        own, other = (f'PLATFORM, subject: "{found}"' for found in (subject, foreign))
        assert own in after
        code, _ = validated(tmp_path, before + '\n  "a" {' + after.replace(own, other, 1))
        assert code != 0, foreign


@pytest.mark.parametrize("name", ["", "Acme", "a.b", "a b", "-a", "a>", "*", "a" * 64, "é"])
def test_a_name_that_is_not_one_is_refused(tmp_path: Path, name: str) -> None:
    """A name with a dot or a wildcard would open another's subjects."""
    with pytest.raises(ValueError, match="tenant's name"):
        render(config(tmp_path), secrets_of(name))


def test_passwords_stand_in_the_file_once_each(tmp_path: Path) -> None:
    """Nothing but the users' own entries carries them, so a listing of accounts tells none."""
    text = render(config(tmp_path), secrets_of("acme"))
    assert len(re.findall("secret-of-acme", text)) == 1
    assert "key" not in text
