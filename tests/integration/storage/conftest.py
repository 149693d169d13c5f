"""Stores on both databases: every test of the contract runs on each."""

import pytest

from pywhatsweb_fleet.storage.sealing import Keyring


@pytest.fixture
def keyring() -> Keyring:
    """One master key."""
    return Keyring([bytes(range(32))])
