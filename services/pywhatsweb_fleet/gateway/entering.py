"""Who makes a request, from where, and in what matter."""

from __future__ import annotations

import msgspec

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asgi import Scope
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.envelope import address_of, headers_of, ids_of
from pywhatsweb_fleet.gateway.problems import GatewayError


async def entered(deps: Deps, scope: Scope, *, changes: bool) -> Principal:
    """Raises as `Door.enter`, and E_TENANT_MISMATCH to a client that means another tenant than its key's."""
    headers, address = headers_of(scope), address_of(scope)
    who = await deps.door.enter(headers, address, changes=changes)
    if headers.get("x-tenant-id", who.tenant) != who.tenant:
        raise GatewayError(ErrorCode.E_TENANT_MISMATCH)
    return msgspec.structs.replace(who, address=address, correlation_id=ids_of(scope).correlation)
