"""The command line's side of the contract: one connection to the broker with a tenant's credentials."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from pywhatsweb.contracts import codec, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb_fleet.cli import exits
from pywhatsweb_fleet.cli.options import Where
from pywhatsweb_runtime import settings as environment
from pywhatsweb_runtime.bus import BrokerSettings

CONNECT_S = 3.0
ASK_S = 10.0


class Target(NamedTuple):
    """What a connection needs to know."""

    broker: BrokerSettings
    tenant: TenantId


def find(where: Where) -> Target:
    """From the options, the environment, or the ready file of a running `pww up`. Raises CommandError."""
    named = where.tenant or os.environ.get("PWW_TENANT") or None
    if named is not None and not subjects.valid_name(named):
        raise exits.CommandError(f"{named} cannot be a tenant's name.", exit_code=exits.USAGE)
    if where.data_dir is None and (where.url or os.environ.get("PWW_NATS_URL")):
        return _from_environment(where, named)
    return _from_ready_file(where, named)


def _from_environment(where: Where, named: str | None) -> Target:
    environ = dict(os.environ)
    if where.url:
        environ["PWW_NATS_URL"] = where.url
    if where.user:
        environ["PWW_NATS_USER"] = where.user
    if where.password_file is not None:
        environ.pop("PWW_NATS_PASSWORD", None)
        environ["PWW_NATS_PASSWORD_FILE"] = str(where.password_file)
    try:
        broker = environment.load(BrokerSettings, environ)
    except environment.SettingsError as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None
    tenant = named or broker.nats_user
    if tenant is None:
        raise exits.CommandError("which tenant? Name it with --tenant or PWW_TENANT.", exit_code=exits.USAGE)
    if broker.nats_user is None and broker.nats_password is not None:
        environ["PWW_NATS_USER"] = tenant
        broker = environment.load(BrokerSettings, environ)
    return Target(broker, TenantId(tenant))


def _from_ready_file(where: Where, named: str | None) -> Target:
    from pywhatsweb_fleet.up import places, ready_file

    directory = where.data_dir or places.default_data_dir(os.environ)
    ready = ready_file.read(directory.absolute() / "ready.json")
    if ready is None:
        raise exits.CommandError(
            f"no fleet runs on {directory}.",
            exit_code=exits.UNREACHABLE,
            action="Start one with `pww up`, or name a broker with --url or PWW_NATS_URL.",
        )
    tenant = named or ("demo" if "demo" in ready.tenants else min(ready.tenants, default=None))
    if tenant is None or tenant not in ready.tenants:
        raise exits.CommandError(
            f"this fleet has no tenant {tenant}; it has {', '.join(sorted(ready.tenants)) or 'none'}.",
            exit_code=exits.USAGE,
            action=f"Make it with: pww tenant add {tenant}",
        )
    user = ready.tenants[tenant]
    return Target(
        BrokerSettings(nats_url=ready.nats_url, nats_user=user.user, nats_password=user.password),
        TenantId(tenant),
    )


class Link:
    """Made by `linked`."""

    def __init__(self, client: Client, tenant: TenantId) -> None:
        self.tenant = tenant
        self._client = client

    async def ask(
        self, verb: str, arguments: dict[str, Any] | None = None, *, deadline: float = ASK_S
    ) -> Any:
        """The data of the control plane's answer to ``noun.verb``. Raises CommandError."""
        noun, _, name = verb.partition(".")
        answer = await self._request(subjects.control(self.tenant, noun, name), arguments or {}, {}, deadline)
        body = json.loads(answer.data)
        if not body.get("ok"):
            raise refused(body.get("error") or {})
        return body.get("data")

    async def publish(self, session: str, verb: str, command: dict[str, Any]) -> None:
        """Puts a command into the tenant's stream; returns with the broker's acknowledgement. Raises CommandError."""
        subject = subjects.command(self.tenant, SessionId(session), verb)
        answer = await self._request(subject, command, {"Nats-Msg-Id": command["id"]}, ASK_S)
        if error := json.loads(answer.data).get("error"):
            raise exits.CommandError(
                f"the broker does not take the command: {error.get('description', 'no reason given')}.",
                action="If the tenant's queue is full, wait until its sessions have sent some of it.",
            )

    async def _request(
        self, subject: str, body: dict[str, Any], headers: dict[str, str], deadline: float
    ) -> Msg:
        try:
            return await self._client.request(
                subject, json.dumps(body).encode(), timeout=deadline, headers=headers or None
            )
        except nats.errors.NoRespondersError:
            raise exits.CommandError(
                "the broker is there, but no service of the fleet answers.",
                exit_code=exits.UNREACHABLE,
                action="It may be starting: try again in a few seconds, and look at what `pww up` says.",
            ) from None
        except (nats.errors.TimeoutError, TimeoutError):
            raise exits.CommandError(f"no answer within {deadline:g} s.", exit_code=exits.TIMED_OUT) from None
        except nats.errors.MaxPayloadError:
            raise exits.CommandError("the command is larger than the broker takes.") from None
        except nats.errors.Error as error:
            raise exits.CommandError(
                f"the connection to the broker was lost ({type(error).__name__}).",
                exit_code=exits.UNREACHABLE,
            ) from None

    @contextlib.asynccontextmanager
    async def events(
        self, session: str = "*", kind: str = "*"
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The tenant's events from now on, as plain dicts in the order of their arrival."""
        subscription = await self._client.subscribe(f"wa.evt.{self.tenant}.{session}.{kind}.*")
        await self._client.flush()  # whatever is published from here on is seen

        async def iterate() -> AsyncIterator[dict[str, Any]]:
            async for message in subscription.messages:
                yield codec.decode(message.data, dict[str, Any])

        try:
            yield iterate()
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


def refused(error: dict[str, Any]) -> exits.CommandError:
    """An error body of the fleet's as the command's end."""
    code = str(error.get("code") or "E_INTERNAL")
    message = str(error.get("message") or "the fleet refused").rstrip(".")
    details = error.get("details") or {}
    extra = f" ({', '.join(f'{name}: {value}' for name, value in details.items())})" if details else ""
    return exits.CommandError(
        f"{message}{extra} [{code}]", action=str(error.get("action") or ""), error=error
    )


@contextlib.asynccontextmanager
async def linked(where: Where | None) -> AsyncIterator[Link]:
    """A connection for as long as the block lasts. Raises CommandError."""
    target = find(where or Where())
    client = Client()
    try:
        await client.connect(**_options(target.broker))
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise _unreachable(target, error) from None
    # A first failure is told at once; later ones (a broker that restarts under `events --follow`) are ridden out.
    client.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
    try:
        yield Link(client, target.tenant)
    finally:
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(2):
                await client.close()


def _options(broker: BrokerSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "servers": [url.strip() for url in broker.nats_url.split(",")],
        "name": "pww",
        "connect_timeout": CONNECT_S,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0.1,
        "error_cb": _ignore,
    }
    if broker.nats_user:
        options |= {"user": broker.nats_user, "password": broker.nats_password}
    if broker.nats_creds:
        options["user_credentials"] = broker.nats_creds
    if broker.nats_ca:
        import ssl

        options["tls"] = ssl.create_default_context(cafile=broker.nats_ca)
    return options


async def _ignore(error: Exception) -> None:
    """What matters is raised where it is waited for."""


def _unreachable(target: Target, error: Exception) -> exits.CommandError:
    url = target.broker.nats_url.rpartition("@")[2].removeprefix("nats://")
    if "authorization" in str(error).lower() or "permissions" in str(error).lower():
        return exits.CommandError(
            f"the broker at {url} refuses the user {target.broker.nats_user or '(none)'}.",
            exit_code=exits.UNREACHABLE,
            action="Check --user and --password-file (or PWW_NATS_USER and PWW_NATS_PASSWORD).",
        )
    return exits.CommandError(
        f"no broker answers at {url}.",
        exit_code=exits.UNREACHABLE,
        action="Is it running? `pww up` starts one.",
    )
