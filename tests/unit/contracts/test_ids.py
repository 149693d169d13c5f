"""Ids that are derived from people and messages."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.ids import TenantKey


@given(st.binary(max_size=130), st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_ids_are_hmac_sha256(key: bytes, parts: list[str]) -> None:
    """Whatever the key's length: the ids of earlier versions are found again."""
    expected = hmac.digest(key, "\x1f".join(["event", *parts]).encode(), "sha256").hex()
    assert ids.stable_event_id(TenantKey(key), *parts) == expected[:32]
