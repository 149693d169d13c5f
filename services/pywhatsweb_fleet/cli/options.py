"""The options that commands share: which fleet, which tenant, and how to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from cyclopts import Group, Parameter, Token

Format = Literal["human", "json"]

WHERE = Group("Which fleet (default: the one that `pww up` runs here)", sort_key=10)


@Parameter(name="*", group=WHERE)
@dataclass(frozen=True, kw_only=True)
class Where:
    """Without any of these, `PWW_NATS_URL` and its companions count, then the ready file of a running `pww up`."""

    url: str | None = None
    """The broker, nats://host:port."""
    user: str | None = None
    """The broker's user; else PWW_NATS_USER, else the tenant's name."""
    password_file: Path | None = None
    """A file with the password; else PWW_NATS_PASSWORD or PWW_NATS_PASSWORD_FILE."""
    tenant: str | None = None
    """Else PWW_TENANT, else the fleet's first tenant."""
    data_dir: Path | None = None
    """The data directory of the `pww up` to talk to."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Trail:
    """What the audit trail is told."""

    reason: str | None = None
    """Why, for the audit trail."""
    by: str | None = None
    """Who does it."""


Signed = Annotated[Trail | None, Parameter()]

Person = Annotated[str, Parameter(help="A number, or lid:….")]

Several = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]
"""An option that may be given several times, or with several values."""

Connection = Annotated[Where | None, Parameter()]


def given(options: Trail | None) -> dict[str, Any]:
    """Their arguments."""
    return {} if options is None else asdict(options)


def _format(_kind: object, tokens: Sequence[Token]) -> Format:
    """`table` is what 0.5 called the form for reading."""
    value = tokens[0].value.replace("table", "human")
    if value not in get_args(Format):
        raise ValueError(f"one of {', '.join(get_args(Format))}")
    return cast("Format", value)


Answer = Annotated[Format, Parameter(name="--format", group=WHERE, converter=_format)]
"""human: for reading; json: one document a line, for programs."""
