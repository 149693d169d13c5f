"""``pww completion``."""

from __future__ import annotations

from typing import Literal

from pywhatsweb_fleet.cli import exits


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that completes commands and options: `eval "$(pww completion bash)"`.

    Parameters
    ----------
    shell
        Which shell reads it.
    """
    from pywhatsweb_fleet.cli.main import app

    print(app.generate_completion(shell=shell))
    return exits.OK
