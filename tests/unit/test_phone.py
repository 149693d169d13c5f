"""Phone numbers and recipients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb import phone
from pywhatsweb.errors import ContractError, ErrorCode

NUMBER = "+5511999999999"


@pytest.mark.parametrize(
    "written",
    [
        "11999999999",
        "(11) 99999-9999",
        "+55 11 99999 9999",
        "5511999999999",
        " +5511999999999 ",
        "011 99999-9999",
    ],
)
def test_normalize(written: str):
    """All the ways that 0.5's users write a Brazilian number give one E.164."""
    assert phone.normalize_phone_number(written) == NUMBER


def test_region():
    """A national number is read in the tenant's region."""
    assert phone.normalize_phone_number("923 456 789", "AO") == "+244923456789"
    assert phone.normalize_phone_number("202-555-0123", "us") == "+12025550123"


@pytest.mark.parametrize(
    "written", ["", "abc", "+", "+5511", "999999999", "++5511999999999", "1-800-FLOWERS", "+०१२", "1" * 200]
)
def test_refused(written: str):
    """What is no number is refused, and not repeated in the error."""
    with pytest.raises(ContractError) as caught:
        phone.normalize_phone_number(written)
    assert caught.value.code is ErrorCode.E_INVALID_PHONE
    assert caught.value.details == {"path": "$.to"}


def test_possible_is_enough_with_a_country_code():
    """Number ranges change faster than libraries; guessing a country needs a valid number."""
    assert phone.normalize_phone_number("+15550001234") == "+15550001234"
    assert phone.normalize_phone_number("5511888888888") == "+5511888888888"
    with pytest.raises(ContractError):
        phone.normalize_phone_number("15550001234")


def test_validate():
    """0.5's four values."""
    assert phone.validate_phone_number("11999999999") == (True, NUMBER, 55, "BR")
    assert phone.validate_phone_number("+15550001234") == (False, None, None, None)


def test_info():
    """0.5's fields."""
    assert phone.get_phone_info(NUMBER) == {
        "number": NUMBER,
        "country_code": 55,
        "region": "BR",
        "carrier": "Vivo",
        "timezone": "America/Sao_Paulo",
        "is_valid": True,
        "is_mobile": True,
    }


@pytest.mark.parametrize(
    ("style", "shown"),
    [("NATIONAL", "(11) 99999-9999"), ("INTERNATIONAL", "+55 11 99999-9999"), ("E164", NUMBER)],
)
def test_display(style: str, shown: str):
    """0.5's styles."""
    assert phone.format_phone_for_display(NUMBER, style) == shown


def test_display_in_another_style():
    """A style that does not exist is the caller's mistake."""
    with pytest.raises(ValueError, match="NATIONAL"):
        phone.format_phone_for_display(NUMBER, "FANCY")


@pytest.mark.parametrize(
    ("to", "kind", "value"),
    [
        (NUMBER, "pn", NUMBER),
        ("11999999999", "pn", NUMBER),
        ("5511999999999@s.whatsapp.net", "pn", NUMBER),
        ("5511999999999:12@s.whatsapp.net", "pn", NUMBER),
        ("5511999999999@c.us", "pn", NUMBER),
        ("123456789012345@lid", "lid", "123456789012345"),
        ("lid:123456789012345", "lid", "123456789012345"),
        ("120363041234567890@g.us", "group", "120363041234567890"),
        ("120363041234567890", "group", "120363041234567890"),
        ("group:120363041234567890", "group", "120363041234567890"),
        ("5511999999999-1612345678@g.us", "group", "5511999999999-1612345678"),
    ],
)
def test_recipients(to: str, kind: str, value: str):
    """Whom each form names."""
    assert phone.parse_recipient(to) == (kind, value)


@given(st.text(max_size=200))
def test_any_text_is_a_recipient_or_refused(to: str):
    """Nothing but ContractError is raised; E.164 that was found is found again."""
    try:
        found = phone.parse_recipient(to)
    except ContractError:
        return
    if found.kind == "pn" and "@" not in to:
        assert phone.parse_recipient(found.value) == found


def test_caches_are_bounded():
    """A million recipients do not stay in memory."""
    assert phone._recipient.cache_info().maxsize == phone._number.cache_info().maxsize == 16_384


def test_ninth_digit():
    """A Brazilian mobile has two forms, each the other's; others have one."""
    long, short = "+5511999999999", "+551199999999"
    assert phone.brazil_candidates(long) == (long, short)
    assert phone.brazil_candidates(short) == (short, long)
    assert phone.brazil_candidates("+551133334444") == ("+551133334444",)
    assert phone.brazil_candidates("+12025550123") == ("+12025550123",)
