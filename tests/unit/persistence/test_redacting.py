"""Finding a person in bytes and text, and taking them out of what others said."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import LargeBinary, Text

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb_fleet.persistence import person, redacting, sweeping
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.persistence.sweeping import Keep, Row

WHO = Asker("acme", TenantKey(bytes(range(32))), "BR")
PN, LID = "+5511987654321", "998877665544332"
SOMEBODY = person.of(WHO, (PN, "+551187654321"), (LID,))
NAMES = ("5511987654321", PN, LID)

TEXTS = st.one_of(
    st.text(max_size=30),
    st.builds(lambda before, name, after: before + name + after, st.text(max_size=9), st.sampled_from(NAMES),
              st.text(max_size=9)),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-(2**31), 2**31)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=5))
def test_nothing_of_them_is_left_in_what_others_said(value: dict[str, Any]) -> None:
    """JSON stays JSON, of the same shape where it names nobody; doing it again changes nothing."""
    before = msgspec.json.encode(value).decode()
    after = redacting.without(SOMEBODY, before)
    assert not SOMEBODY.named_in(after)
    msgspec.json.decode(after)
    assert redacting.without(SOMEBODY, after) == after
    if not SOMEBODY.named_in(before):
        assert after == before


@given(VALUES)
def test_they_are_found_in_either_encoding(value: Any) -> None:
    """A body that names them in any string, key or value, is found in MessagePack as it is in JSON."""
    body = {"data": value}
    named = SOMEBODY.named_in(msgspec.json.encode(body).decode())
    assert SOMEBODY.held_by(msgspec.json.encode(body)) == named
    if named:
        assert SOMEBODY.held_by(msgspec.msgpack.encode(body))


def test_longer_numbers_are_somebody_else() -> None:
    """A number that begins or ends as theirs does is not theirs, whatever stands around it."""
    for other in (f"{PN}0", f"9{PN[1:]}", f"{LID}1"):
        assert not SOMEBODY.named_in(other)
        assert not SOMEBODY.held_by(msgspec.msgpack.encode({"to": other}))
        assert not SOMEBODY.held_by(msgspec.json.encode({"to": other}))
    # A small integer is a digit's byte in MessagePack: it is no part of the text before it.
    assert SOMEBODY.held_by(msgspec.msgpack.encode([PN, 53]))
    assert SOMEBODY.held_by(ids.chat_key(WHO.key, lid=LID).encode())


def test_a_person_in_json_is_made_nobody() -> None:
    raw = msgspec.json.encode(
        {"from": {"pn": None, "lid": LID, "name": "Zu"}, "body": f"@{LID}: hi", "n": 7}
    ).decode()
    assert msgspec.json.decode(redacting.without(SOMEBODY, raw)) == {
        "from": {"pn": None, "lid": None, "name": None}, "body": "@[erased]: hi", "n": 7,
    }  # fmt: skip


def test_every_table_is_judged_or_kept_for_a_reason() -> None:
    """Whichever text column names the person, the row goes or is changed; a new table needs no rule for that."""
    assert set(sweeping.KEPT) <= {table.name for table in sweeping.every_table()}
    for table in sweeping.tables():
        blank = {column.name: None for column in table.columns}
        assert sweeping.judge(SOMEBODY, Row(table, {**blank, "key_id": "", "reason": ""})) is Keep.AS_IT_IS
        for column in table.columns:
            if isinstance(column.type, LargeBinary | Text):
                value: Any = f"call {PN} back"
                value = value.encode() if isinstance(column.type, LargeBinary) else value
                verdict = sweeping.judge(
                    SOMEBODY, Row(table, {**blank, "key_id": "", "reason": "", column.name: value})
                )
                assert verdict is not Keep.AS_IT_IS, f"{table.name}.{column.name}"
