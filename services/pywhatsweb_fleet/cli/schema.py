"""``pww schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pywhatsweb_fleet.cli import exits


def schema(kind: Literal["json", "asyncapi"], /, *, out: Path | None = None) -> int:
    """Print the contract: JSON Schema of every body, or AsyncAPI 3 with subjects.

    Parameters
    ----------
    kind
        Which of the two documents.
    out
        Write it to this file instead.
    """
    from pywhatsweb.contracts.schema import render

    text = render(kind)
    if out is None:
        print(text, end="")
    else:
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            raise exits.CommandError(f"{out} cannot be written ({error.strerror}).") from None
    return exits.OK
