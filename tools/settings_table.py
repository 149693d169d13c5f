"""Write the table of docs/OPERATIONS.md from the services' settings Structs, so that it cannot lie.

python tools/settings_table.py            write it
python tools/settings_table.py --check    exit code 1 when it is not what this would write
"""

import ast
import importlib
import inspect
import itertools
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb_runtime.settings import PREFIX

TARGET = Path(__file__).resolve().parent.parent / "docs" / "OPERATIONS.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"

# A service: its name for `pww run`, and where its settings are. Adding one is a line.
SERVICES = {
    "dispatcher": ("pywhatsweb_fleet.dispatcher.settings", "DispatcherSettings"),
    "tenancy": ("pywhatsweb_fleet.tenancy.settings", "TenancySettings"),
    "persistence": ("pywhatsweb_fleet.persistence.settings", "PersistenceSettings"),
    "kanban": ("pywhatsweb_fleet.kanban.settings", "KanbanSettings"),
    "webhooks": ("pywhatsweb_fleet.webhooks.settings", "WebhooksSettings"),
    "gateway": ("pywhatsweb_fleet.gateway.settings", "GatewaySettings"),
    "session-worker": ("pywhatsweb_fleet.session_worker.settings", "Settings"),
}
# What the code leaves to its reader, in words; a field that has neither docstring nor line here fails the check.
WORDS = {
    "nats_url": "The broker; several nodes separated by commas.",
    "nats_user": "The services' user at the broker.",
    "nats_password": "Its password.",
    "nats_creds": "Path of a NATS credentials file, instead of user and password.",
    "nats_ca": "Path of the CA (PEM) that the broker's certificate is checked against; none: no TLS.",
    "data_dir": "Where SQLite's file lies when `PWW_DATABASE_URL` is absent.",
    "database_url": "`postgresql://user:password@host/database`, or `sqlite:///path`.",
    "whatsapp_url": "Another WhatsApp than the real one: ws:// or wss:// URL with its path.",
    "whatsapp_root_key": "The key (hex) that signs that one's certificate; none: WhatsApp's own.",
    "worker_id": "Its name among the workers, unique; one that starts again under its name takes its sessions back.",
    "simulated_state": "Path of the simulated WhatsApp's own journal, so that it outlives this process.",
    "sidecar_dir": "Where the sidecar's program is, when not beside the package.",
    "node": "Path of Node, when not beside the interpreter or on the PATH.",
    "max_sessions": "How many sessions this worker takes at most.",
    "health_host": "Address that health and metrics are served on.",
    "health_port": "Port of `/livez`, `/readyz`, `/health` and `/metrics`; none: not served; 0: any free one.",
    "ready_file": "A file that is written, with the process id, when the service is ready.",
    "media_image_bytes": "The largest image.",
    "media_video_bytes": "The largest video.",
    "media_audio_bytes": "The largest sound or voice note.",
    "media_sticker_bytes": "The largest sticker.",
    "media_document_bytes": "The largest document.",
    "sql_pool": "Threads with a connection each.",
    "sql_deadline_s": "A transaction that takes longer is broken off and tried again later.",
    "http_host": "Address that it listens on.",
    "key_burst": "Requests of one key at once.",
    "address_burst": "Refused authentications of one address at once.",
    "heartbeat_s": "How often a quiet event stream says that it is there.",
    "replicas": "Of the buckets, should this service be the first to need them.",
    "log_format": "`json` for machines, `console` for people.",
    "log_level": "`debug`, `info`, `warning` or `error`.",
}


def render() -> str:
    """The tables: what all services share first, then each one's own."""
    kinds = {
        name: getattr(importlib.import_module(module), kind) for name, (module, kind) in SERVICES.items()
    }
    of_all = set.intersection(*({_row(kind, field) for field in _fields(kind)} for kind in kinds.values()))
    first = next(iter(kinds.values()))
    lines = [
        "### Every service",
        "",
        *_table(row for field in _fields(first) if (row := _row(first, field)) in of_all),
    ]
    for name, kind in kinds.items():
        rows = [row for field in _fields(kind) if (row := _row(kind, field)) not in of_all]
        lines += ["", f"### {name}", "", *_table(iter(rows))]
    return "\n".join(lines) + "\n"


def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _table(rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    yield "| variable | default | what |"
    yield "|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _row(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> tuple[str, str, str]:
    words = _docstrings(kind).get(field.name) or WORDS.get(field.name)
    if words is None:
        raise SystemExit(f"{kind.__name__}.{field.name} says nowhere what it is: give it a docstring")
    if choices := _choices(field.type):
        words += f" One of {', '.join(f'`{choice}`' for choice in choices)}." if "`" not in words else ""
    return (
        f"`{PREFIX}{field.name.upper()}`",
        _default(field),
        " ".join(words.split()).replace("``", "`").replace("|", "\\|"),
    )


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "**required**"
    if field.default_factory is not msgspec.NODEFAULT:
        return "made at random"
    return "" if field.default is None else f"`{field.default}`"


def _choices(kind: Any) -> tuple[str, ...]:
    return tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is typing.Literal else ()


def _docstrings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The string under each field, as the class's source has it; of its bases, too."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__[: kind.__mro__.index(msgspec.Struct)]):
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        lines = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(lines):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
            ):
                found[field.target.id] = str(ast.literal_eval(text.value))
    return found


def main() -> int:
    text = TARGET.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n\n{render()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        if text != wanted:
            print("docs/OPERATIONS.md is not up to date: python tools/settings_table.py", file=sys.stderr)
        return 0 if text == wanted else 1
    TARGET.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
