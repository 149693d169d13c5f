"""Keyrings and seals."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_fleet.storage.faults import KeyMissing, Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, MasterKeyError, key_id, place

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
    """Each form names the same key, and the first of several leads."""
    assert Keyring.parse(form).first == key_id(KEY)
    assert Keyring.parse(f"{form},\n{'ff' * 32}").first == key_id(KEY)


@pytest.mark.parametrize("bad", ["", "abc", "00" * 31, "zz" * 32, "!" * 44])
def test_bad_keys_are_not_quoted(bad: str) -> None:
    """The error names the rule and not the secret."""
    with pytest.raises(MasterKeyError) as refusal:
        Keyring.parse(bad)
    assert not bad or bad not in str(refusal.value)


def test_a_key_that_came_into_the_file_is_found_when_it_is_met(tmp_path: Path) -> None:
    """Whatever stands in the file meanwhile: no key is lost by a bad reading, none by being taken out."""
    file = tmp_path / "encryption.key"
    file.write_text(KEY.hex())
    ring = Keyring.parse(file.read_text(), file)
    new = b"n" * 32
    sealed = Keyring([new]).new_data_key(key_id(new), "acme", "media")
    for content in (b"", KEY.hex().encode()[:40], b"\xff\xfe", KEY.hex().encode()):
        file.write_bytes(content)
        with pytest.raises(KeyMissing):
            ring.data_key(sealed, "acme", "media")
    file.unlink()
    with pytest.raises(KeyMissing):
        ring.knows(key_id(new))
    file.write_text(f"{new.hex()}\n{KEY.hex()}\n")
    assert ring.data_key(sealed, "acme", "media") is ring.data_key(sealed, "acme", "media")
    assert ring.first == key_id(new)
    file.write_text(new.hex())
    assert ring.ids() == [key_id(new), key_id(KEY)]
    assert ring.knows(key_id(KEY)) == key_id(KEY)
    with pytest.raises(KeyMissing):
        Keyring.parse(file.read_text(), file).knows(key_id(KEY))
