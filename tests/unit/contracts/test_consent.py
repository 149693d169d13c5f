"""Words that opt their sender out, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import control
from pywhatsweb.contracts.consent_data import MAX_WORD, USUAL_WORDS, normalise
from pywhatsweb.errors import ContractError


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("PARE", "pare"),
        ("  Pare! ", "pare"),
        ("*SAIR*.", "sair"),
        ("Não quero mais", "nao quero mais"),
        ("\u200bSt\u200bop 🛑", "stop"),
        ("\uff33\uff34\uff2f\uff30", "stop"),
        ("ОТПИСАТЬСЯ!", "отписаться"),
        ("退订。", "退订"),
        ("إلغاء", "الغاء"),
        ("Straße", "strasse"),
        ("pare de mandar", "pare de mandar"),
        ("🛑", ""),
        ("x" * (MAX_WORD + 1), ""),
    ],
)
def test_a_message_is_compared_without_its_dress(written: str, word: str) -> None:
    assert normalise(written) == word


@given(st.text(max_size=80))
def test_any_text_comes_to_one_form(text: str) -> None:
    """Of a bounded length, which is its own form."""
    word = normalise(text)
    assert len(word) <= MAX_WORD
    assert normalise(word) == word


def test_the_usual_words_are_in_their_form() -> None:
    assert [normalise(word.upper()) for word in USUAL_WORDS] == [*USUAL_WORDS]


@pytest.mark.parametrize("body", [b'{"words": ["PARE", "!!"]}', b'{"words": [""]}', b"{}"])
def test_a_word_that_no_message_could_be_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError):
        control.parse("consent.set_words", body)


@pytest.mark.parametrize("verb", ["consent.get", "contact.opt_out", "contact.opt_in"])
def test_a_person_is_named_in_one_way(verb: str) -> None:
    for body in (b"{}", b'{"to": "+5511999990001", "chat": "k"}'):
        with pytest.raises(ContractError):
            control.parse(verb, body)
