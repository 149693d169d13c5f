"""Phone numbers and recipients.

Numbers are E.164 with the plus. phonenumbers' metadata tells which are valid; WhatsApp alone tells which
exist, so a number that is given with its country code need only be possible, while a national one must be
valid (its country is our guess). Parsing costs 15 µs and more, so results are kept, a bounded number of them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from pywhatsweb.errors import ContractError, ErrorCode

DEFAULT_REGION = "BR"
MAX_INPUT = 128
_CACHED = 16_384

Kind = Literal["pn", "lid", "group"]

_JID = re.compile(
    r"([0-9]{1,20}(?:-[0-9]{1,20})?)(?:_[0-9]+)?(?::[0-9]+)?@(s\.whatsapp\.net|c\.us|lid|g\.us)"
)
_LID = re.compile(r"lid:([0-9]{1,20})")
_GROUP = re.compile(r"(?:group:)?(120363[0-9]{10,14}|[0-9]{8,15}-[0-9]{9,11})")
"""Groups made since 2022 begin with
120363; older ones are their maker's number and the time."""
_WRITTEN = re.compile(r"\+?[0-9()\s./-]+")

_FORMATS = {
    "NATIONAL": PhoneNumberFormat.NATIONAL,
    "INTERNATIONAL": PhoneNumberFormat.INTERNATIONAL,
    "E164": PhoneNumberFormat.E164,
    "RFC3966": PhoneNumberFormat.RFC3966,
}
_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


class Recipient(NamedTuple):
    """To whom: `value` is E.164 for ``pn``, else the part before the ``@``."""

    kind: Kind
    value: str


class Validation(NamedTuple):
    """What `validate_phone_number` tells; the last three are None when it is not valid."""

    is_valid: bool
    number: str | None
    country_code: int | None
    region: str | None


def _invalid() -> ContractError:
    return ContractError(ErrorCode.E_INVALID_PHONE, {"path": "$.to"})


def _parse(number: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None


def _possible(parsed: PhoneNumber | None) -> bool:
    if parsed is None:
        return False
    return phonenumbers.is_possible_number_with_reason(parsed) == ValidationResult.IS_POSSIBLE


@lru_cache(maxsize=_CACHED)
def _number(number: str, region: str) -> PhoneNumber | None:
    """`number` understood: with a plus when possible, national when valid, else digits with a country
    code."""
    if len(number) > MAX_INPUT or not _WRITTEN.fullmatch(number) or not number.isascii():
        return None
    if number.lstrip("(").startswith("+"):
        parsed = _parse(number, None)
        return parsed if _possible(parsed) else None
    for text, country in ((number, region), ("+" + number, None)):
        parsed = _parse(text, country)
        if parsed is not None and phonenumbers.is_valid_number(parsed):
            return parsed
    # The region's own country code in front tells the country, so possible is enough, as with a plus.
    parsed = _parse("+" + number, None)
    own = parsed is not None and parsed.country_code == phonenumbers.country_code_for_region(region)
    return parsed if own and _possible(parsed) else None


@lru_cache(maxsize=_CACHED)
def _e164(number: str, region: str) -> str | None:
    parsed = _number(number, region)
    return None if parsed is None else phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def normalize_phone_number(number: str, region: str | None = None) -> str:
    """`number` as E.164, such as ``+5511999999999``; `region` (two letters, BR) reads a national one.

    Raises ContractError(E_INVALID_PHONE).
    """
    found = _e164(number.strip(), (region or DEFAULT_REGION).upper())
    if found is None:
        raise _invalid()
    return found


def validate_phone_number(number: str, region: str | None = None) -> Validation:
    """``(True, "+5511999999999", 55, "BR")``, or four values of which only the first is not None.

    Stricter than `normalize_phone_number`: the number lies in a range that its country has given out.
    """
    parsed = _number(number.strip(), (region or DEFAULT_REGION).upper())
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        return Validation(False, None, None, None)
    return Validation(
        True,
        phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        parsed.country_code,
        phonenumbers.region_code_for_number(parsed),
    )


def get_phone_info(number: str, region: str | None = None) -> dict[str, Any]:
    """``{number, country_code, region, carrier, timezone, is_valid, is_mobile}``.

    `carrier` is of the range's first owner (numbers move); it and `timezone` are None where unknown.
    Raises ContractError(E_INVALID_PHONE).
    """
    parsed = _number(number.strip(), (region or DEFAULT_REGION).upper())
    if parsed is None:
        raise _invalid()
    # Imported here: their tables are 45 MB, which only those carry who ask.
    from phonenumbers import carrier, timezone

    zones = [zone for zone in timezone.time_zones_for_number(parsed) if zone != timezone.UNKNOWN_TIMEZONE]
    return {
        "number": phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        "country_code": parsed.country_code,
        "region": phonenumbers.region_code_for_number(parsed),
        "carrier": carrier.name_for_number(parsed, "en") or None,
        "timezone": zones[0] if zones else None,
        "is_valid": phonenumbers.is_valid_number(parsed),
        "is_mobile": phonenumbers.number_type(parsed) in _MOBILE,
    }


def format_phone_for_display(number: str, style: str = "INTERNATIONAL", region: str | None = None) -> str:
    """`style`: NATIONAL ``(11) 99999-9999``, INTERNATIONAL ``+55 11 99999-9999``, E164 or RFC3966.

    Raises ContractError(E_INVALID_PHONE), or ValueError for another style.
    """
    chosen = _FORMATS.get(style.upper())
    if chosen is None:
        raise ValueError(f"style is one of {', '.join(_FORMATS)}")
    parsed = _number(number.strip(), (region or DEFAULT_REGION).upper())
    if parsed is None:
        raise _invalid()
    return phonenumbers.format_number(parsed, chosen)


@lru_cache(maxsize=_CACHED)
def _recipient(to: str, region: str) -> Recipient | None:
    if jid := _JID.fullmatch(to):
        user, server = jid.groups()
        if server == "g.us":
            return Recipient("group", user)
        if "-" in user:
            return None
        # WhatsApp's own address is taken as it is: it knows numbers that phonenumbers does not.
        return Recipient("lid", user) if server == "lid" else Recipient("pn", "+" + user)
    if lid := _LID.fullmatch(to):
        return Recipient("lid", lid[1])
    if group := _GROUP.fullmatch(to):
        return Recipient("group", group[1])
    number = _e164(to, region)
    return None if number is None else Recipient("pn", number)


def parse_recipient(to: str, region: str | None = None) -> Recipient:
    """Whom `to` names: E.164, a national number of `region` (BR), digits with a country code,
    ``lid:<digits>``, a group id, or a WhatsApp address (``…@s.whatsapp.net``, ``@c.us``, ``@lid``, ``@g.us``;
    a device is dropped).

    Raises ContractError(E_INVALID_PHONE).
    """
    found = _recipient(to.strip(), (region or DEFAULT_REGION).upper()) if len(to) <= MAX_INPUT else None
    if found is None:
        raise _invalid()
    return found


def brazil_candidates(number: str) -> tuple[str, ...]:
    """`number` and, for a Brazilian mobile, the same with or without its ninth digit.

    WhatsApp keeps accounts of before the ninth digit (2012 to 2016) under the old form, so one asks for both.
    `number` is E.164; others come back alone.
    """
    if not number.startswith("+55"):
        return (number,)
    area, local = number[3:5], number[5:]
    if len(local) == 9 and local[0] == "9" and local[1] in "6789":
        return (number, f"+55{area}{local[1:]}")
    if len(local) == 8 and local[0] in "6789":
        return (number, f"+55{area}9{local}")
    return (number,)
