"""``pww tenant …``: a fleet's tenants, by its platform's user; and tenants for the next start of one that is down."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer

if TYPE_CHECKING:
    from pywhatsweb_runtime.bus import BrokerSettings

app = App(
    name="tenant",
    help="Make, change and erase tenants.",
    result_action="return_value",
)
keys = App(name="keys", help="Who may come in: users of the broker, API keys.", result_action="return_value")
app.command(keys)

_KNOWN_WITHIN_S = 30.0
_ERASED_WITHIN_S = 300.0
_ASK_S = 60.0
DataDir = Path | None
"""--data-dir: of the `pww up` to talk to; PWW_NATS_URL and its companions count before it."""


def _platform(data_dir: DataDir) -> BrokerSettings:
    """How the platform's user gets in. Raises CommandError."""
    from pywhatsweb_fleet.up import places, ready_file
    from pywhatsweb_runtime import settings
    from pywhatsweb_runtime.bus import BrokerSettings

    if data_dir is None and os.environ.get("PWW_NATS_URL"):
        try:
            return settings.load(BrokerSettings, os.environ)
        except settings.SettingsError as error:
            raise exits.CommandError(str(error), exit_code=exits.USAGE) from None
    directory = (data_dir or places.default_data_dir(os.environ)).absolute()
    ready = ready_file.read(directory / "ready.json")
    if ready is None:
        raise exits.CommandError(
            f"no fleet runs on {directory}.",
            exit_code=exits.UNREACHABLE,
            action="Start one with `pww up`, or name a broker with PWW_NATS_URL.",
        )
    user = ready.platform
    return BrokerSettings(nats_url=ready.nats_url, nats_user=user.user, nats_password=user.password)


def _ask(data_dir: DataDir, verb: str, **arguments: Any) -> Any:
    """The data of the platform's answer to ``noun.verb``. Raises CommandError."""
    return asyncio.run(_asked(_platform(data_dir), verb, arguments))


async def _asked(where: BrokerSettings, verb: str, arguments: dict[str, Any]) -> Any:
    import json

    from nats.errors import Error

    from pywhatsweb.contracts import subjects
    from pywhatsweb_fleet.cli.link import refused
    from pywhatsweb_runtime.bus import BrokerUnavailable, connect

    noun, _, name = verb.partition(".")
    given = {key: value for key, value in arguments.items() if value is not None}
    try:
        async with asyncio.timeout(_ASK_S), connect(where, name="pww tenant") as bus:
            raw = await bus.request(
                subjects.operation(noun, name), json.dumps(given).encode(), deadline=_ASK_S
            )
    except (BrokerUnavailable, Error, OSError, TimeoutError):
        raise exits.CommandError(
            "the tenancy service does not answer.",
            exit_code=exits.UNREACHABLE,
            action="Is the fleet running, and is this its platform's user?",
        ) from None
    body = json.loads(raw.data)
    if not body.get("ok"):
        raise refused(body.get("error") or {})
    return body.get("data")


def _tell(found: Any, form: Answer, human: Callable[[Any], str]) -> int:
    if form == "json":
        show.json_line(found)
    else:
        print(human(found))
    return exits.OK


@app.command(alias="add")
def create(
    name: str, /, *, region: str = "BR", events: Literal["msgpack", "json"] = "msgpack",
    data_dir: DataDir = None, form: Answer = "human",
) -> int:  # fmt: skip
    """Make a tenant while everybody stays connected; without a running fleet, for its next start.

    Parameters
    ----------
    name
        a-z, 0-9, _ and -.
    region
        In which numbers without a country code are read.
    events
        How its events are encoded.
    data_dir
        The data directory of the `pww up`.
    """
    from pywhatsweb.contracts.subjects import valid_name
    from pywhatsweb_fleet.up import datadir, places, ready_file

    if not valid_name(name):
        raise exits.CommandError(f"{name} cannot be a tenant's name.", exit_code=exits.USAGE)
    away = data_dir is None and bool(os.environ.get("PWW_NATS_URL"))
    layout = datadir.Layout((data_dir or places.default_data_dir(os.environ)).absolute())
    if not away and (not layout.root.exists() or datadir.holder(layout) is None):
        _for_next_start(layout, name)
        told = {"tenant": name, "running": False}
        return _tell(told, form, lambda _: f"{name} will be there when `pww up` starts.")
    made = _ask(data_dir, "tenant.create", tenant=name, region=region, events=events)
    until = time.monotonic() + _KNOWN_WITHIN_S
    while not away and ((ready := ready_file.read(layout.ready)) is None or name not in ready.tenants):
        if time.monotonic() > until:
            raise exits.CommandError(
                f"{name} was made, but the ready file does not tell it.", exit_code=exits.TIMED_OUT
            )
        time.sleep(0.1)
    if not away:  # its secrets are in the ready file
        return _tell({"tenant": name, "running": True}, form, lambda _: f"{name} is there.")
    return _tell(made, form, lambda m: f"{name} is there.\n{_login(m['login'])}\n  api key   {m['api_key']}")


def _for_next_start(layout: Any, name: str) -> None:
    from pywhatsweb_fleet.broker import secrets
    from pywhatsweb_fleet.up.datadir import StartError

    try:
        layout.make()
        secrets.load_or_make(layout.root, [name])
    except (StartError, secrets.SecretsError) as error:
        raise exits.CommandError(str(error)) from None


def _login(login: dict[str, Any]) -> str:
    secret = login.get("password") or f"\n{login.get('credentials')}"
    return f"  user      {login['user']}\n  secret    {secret}"


@app.command(name="list")
def list_(*, data_dir: DataDir = None, form: Answer = "human") -> int:
    """List the tenants, of a fleet that is down as well.

    Parameters
    ----------
    data_dir
        The data directory of the `pww up`.
    """
    from pywhatsweb_fleet.broker import secrets
    from pywhatsweb_fleet.up import datadir, places

    layout = datadir.Layout((data_dir or places.default_data_dir(os.environ)).absolute())
    away = data_dir is None and bool(os.environ.get("PWW_NATS_URL"))
    if away or (layout.root.exists() and datadir.holder(layout) is not None):
        found = _ask(data_dir, "tenant.list")["tenants"]
    else:
        try:
            known = secrets.load(layout.root)
        except secrets.SecretsError as error:
            raise exits.CommandError(str(error)) from None
        found = [{"tenant": name} for name in sorted(known.tenants if known is not None else ())]
    for tenant in found:
        _tell(tenant, form, _line)
    return exits.OK


def _line(tenant: dict[str, Any]) -> str:
    state = tenant.get("state", "active")
    return str(tenant["tenant"]) if state == "active" else f"{tenant['tenant']} ({state})"


@app.command(name="show")
def show_(name: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """Show a tenant's state and quota."""
    return _tell(_ask(data_dir, "tenant.show", tenant=name), form, _described)


def _described(tenant: dict[str, Any]) -> str:
    lines = [f"{tenant['tenant']}: {tenant['state']}"]
    lines += [f"  {field:28} {value:g}" for field, value in sorted(tenant["quota"].items())]
    return "\n".join(lines)


@app.command
def suspend(name: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """Cut a tenant off at once; what it has stays."""
    return _tell(
        _ask(data_dir, "tenant.suspend", tenant=name), form, lambda t: f"{t['tenant']} is {t['state']}."
    )


@app.command
def resume(name: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """Let a suspended tenant in again."""
    return _tell(
        _ask(data_dir, "tenant.resume", tenant=name), form, lambda t: f"{t['tenant']} is {t['state']}."
    )


@app.command
def quota(
    name: str, /, *changes: str, data_dir: DataDir = None, form: Answer = "human",
) -> int:  # fmt: skip
    """Change what a tenant may use: FIELD=NUMBER, the fields as `pww tenant show` names them; 0 lifts a limit."""
    asked: dict[str, float] = {}
    for change in changes:
        field, _, text = change.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise exits.CommandError(f"{change}: write FIELD=NUMBER.", exit_code=exits.USAGE) from None
        asked[field] = int(value) if value.is_integer() else value
    from pywhatsweb.contracts.platform_data import Quota

    if unknown := asked.keys() - set(Quota.__struct_fields__):
        raise exits.CommandError(f"there is no quota {min(unknown)}.", exit_code=exits.USAGE)
    return _tell(_ask(data_dir, "tenant.quota", tenant=name, quota=asked), form, _described)


@app.command
def delete(
    name: str, /, *, confirm: str, reason: str, actor: str | None = None,
    data_dir: DataDir = None, form: Answer = "human",
) -> int:  # fmt: skip
    """Erase everything of a tenant, for good, and print the receipt.

    Parameters
    ----------
    confirm
        The tenant's name once more.
    reason
        Why; it stands in the receipt.
    actor
        Who asks for it; by default the user of this terminal.
    data_dir
        The data directory of the `pww up`.
    """
    import getpass

    who = actor or getpass.getuser()
    receipt = _ask(data_dir, "tenant.delete", tenant=name, confirm=confirm, reason=reason, actor=who)
    until = time.monotonic() + _ERASED_WITHIN_S
    while receipt["state"] != "done":
        if time.monotonic() > until:
            raise exits.CommandError(
                f"erasure {receipt['id']} is not done yet (step: {receipt['step']}).",
                exit_code=exits.TIMED_OUT,
                action="It goes on by itself; ask again with the same command.",
            )
        time.sleep(0.5)
        receipt = _ask(data_dir, "tenant.receipt", id=receipt["id"])
    return _tell(receipt, form, _receipt)


def _receipt(receipt: dict[str, Any]) -> str:
    lines = [f"{receipt['tenant']} was erased at {receipt['erased_at']} (receipt {receipt['id']})."]
    lines += [f"  {place:24} {count}" for place, count in sorted(receipt["counts"].items())]
    if receipt["linked"]:
        lines.append(f"  devices still linked at WhatsApp: {', '.join(receipt['linked'])}")
    return "\n".join(lines)


@keys.command(name="list")
def keys_list(name: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """List a tenant's users and API keys; no secret is kept that could be shown."""
    return _tell(_ask(data_dir, "tenant.keys", tenant=name), form, _entries)


def _entries(found: dict[str, Any]) -> str:
    def bound(entry: dict[str, Any]) -> str:
        return f", sessions {' '.join(entry['sessions'])}" if entry["sessions"] else ""

    lines = [f"user {user['user']}: {user['rights']}{bound(user)}" for user in found["users"]]
    lines += [
        f"key {key['id']}: {key['name']} ({' '.join(key['scopes'])}{bound(key)})" for key in found["keys"]
    ]
    return "\n".join(lines)


Sessions = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]


@keys.command(name="add-user")
def add_user(
    name: str, user: str, /, *, rights: Literal["full", "publish", "read"] = "full", session: Sessions = None,
    data_dir: DataDir = None, form: Answer = "human",
) -> int:  # fmt: skip
    """Make another user of the broker's for a tenant, and print its secret once."""
    made = _ask(data_dir, "user.create", tenant=name, user=user, rights=rights, sessions=session)
    return _tell(made, form, _login)


@keys.command(name="rotate-user")
def rotate_user(
    name: str, user: str | None = None, /, *, data_dir: DataDir = None, form: Answer = "human"
) -> int:
    """Give a tenant's user a new password at once; without a name, its first one."""
    return _tell(_ask(data_dir, "user.rotate", tenant=name, user=user), form, _login)


@keys.command(name="remove-user")
def remove_user(name: str, user: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """End a tenant's user; its connections are cut."""
    return _tell(_ask(data_dir, "user.delete", tenant=name, user=user), form, _entries)


@keys.command(name="add")
def add_key(
    name: str, title: str, /, *, scope: Sessions = None, session: Sessions = None,
    data_dir: DataDir = None, form: Answer = "human",
) -> int:  # fmt: skip
    """Make another API key, and print it once."""
    made = _ask(data_dir, "key.create", tenant=name, name=title, scopes=scope, sessions=session)
    return _tell(made, form, lambda found: f"  id        {found['id']}\n  api key   {found['key']}")


@keys.command(name="remove")
def remove_key(name: str, key_id: str, /, *, data_dir: DataDir = None, form: Answer = "human") -> int:
    """End an API key at once."""
    return _tell(_ask(data_dir, "key.delete", tenant=name, id=key_id), form, _entries)
