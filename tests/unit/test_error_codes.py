"""The catalogue and the source name the same codes."""

from __future__ import annotations

import re
from pathlib import Path

from pywhatsweb.errors import ErrorCode

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"\bE_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
PROMISED = {
    "E_MESSAGE_NOT_FOUND", "E_EDIT_TOO_LATE", "E_DELETE_TOO_LATE",
    "E_PAIRING_REFUSED", "E_WHATSAPP_2FA_REQUIRED", "E_CONFIG_INVALID", "E_WEBHOOK_FAILED",
    "E_EXPORT_NOT_READY", "E_BACKUP_KEY", "E_BACKUP_DAMAGED", "E_RESTORE_NOT_EMPTY",
}  # fmt: skip
"""In the catalogue because users of PyWhatsWeb 0.5 or other engines know them; nothing here gives them yet."""


def named() -> dict[str, set[str]]:
    """Every code that the source names, and where."""
    found: dict[str, set[str]] = {}
    for root, kinds in (("shared", "*.py"), ("services", "*.py"), ("sidecar-node/src", "*.ts")):
        for path in (ROOT / root).rglob(kinds):
            if path.name not in ("errors.py", "errors_catalogue.py") and "node_modules" not in path.parts:
                for code in CODE.findall(path.read_text(encoding="utf-8")):
                    found.setdefault(code, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_code_that_is_given_is_in_the_catalogue() -> None:
    """One that is not would reach users as E_INTERNAL."""
    unknown = {code: sorted(places) for code, places in named().items() if code not in ErrorCode.__members__}
    assert unknown == {}


def test_every_code_of_the_catalogue_is_given() -> None:
    """But for those that are promised to users."""
    assert set(ErrorCode.__members__) - named().keys() <= PROMISED
    assert set(ErrorCode.__members__) >= PROMISED
