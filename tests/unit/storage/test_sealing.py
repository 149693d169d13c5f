"""Keyrings and seals."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.storage.faults import Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, MasterKeyError, place

KEY = bytes(range(32))


@given(st.binary(max_size=200), st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_a_value_opens_at_its_own_place_only(value: bytes, here: list[str], there: list[str]) -> None:
    """Whatever the place's parts hold, another place is another place."""
    cipher = Cipher(KEY)
    sealed = cipher.seal(value, place(*here))
    assert cipher.open(sealed, place(*here)) == value
    if here != there:
        with pytest.raises(Unsealable):
            cipher.open(sealed, place(*there))


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_way(sealed: bytes) -> None:
    """Whatever lies in the row, opening raises Unsealable and nothing else."""
    with pytest.raises(Unsealable):
        Cipher(KEY).open(sealed, b"")


@pytest.mark.parametrize(
    "form", [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode()]
)
def test_keys_are_read_in_hex_and_base64(form: str) -> None:
    """Each form names the same key, and the first of several is the current one."""
    assert Keyring.parse(form).current == Keyring([KEY]).current
    assert Keyring.parse(f"{form},\n{'ff' * 32}").current == Keyring([KEY]).current


@pytest.mark.parametrize("bad", ["", "abc", "00" * 31, "zz" * 32, "!" * 44])
def test_bad_keys_are_not_quoted(bad: str) -> None:
    """The error names the rule and not the secret."""
    with pytest.raises(MasterKeyError) as refusal:
        Keyring.parse(bad)
    assert not bad or bad not in str(refusal.value)
