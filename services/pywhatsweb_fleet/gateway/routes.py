"""What a route is: its place, its handler, and what the documentation says of it. One table makes both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from pywhatsweb.contracts import codec, decoding
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import Scope
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.problems import GatewayError

Method = Literal["GET", "POST", "PUT", "DELETE"]
JSON = codec.CONTENT_TYPES["json"]


class Call(msgspec.Struct, kw_only=True):
    """A request, as a handler gets it."""

    deps: Deps
    who: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    address: str
    """The peer's."""
    request_id: str
    correlation_id: str | None

    def session(self, name: str = "session_id") -> str:
        """The session of the path, checked."""
        return self.who.session(self.path[name])

    def addressee(self, name: str = "session_id") -> str:
        """The session or inbox of the path, checked."""
        return self.who.addressee(self.path[name])

    def decode(self, kind: Any) -> Any:
        """The body (JSON or MessagePack; empty: no fields) as a Struct. Raises ContractError."""
        return decoding.decode(self.body or b"{}", kind)

    def seconds(self, name: str, default: float, most: float) -> float:
        """A number of seconds in the query, above 0 and at most `most`. Raises GatewayError."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= most:
            raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": f"?{name}", "limit": most})
        return value


class Answer(NamedTuple):
    """`body` is a Struct or a dict (in the request's form), or bytes of the `kind` given."""

    body: Any
    status: int = 200
    kind: str | None = None
    headers: Mapping[str, str] = {}


Handler = Callable[[Call], Awaitable[Answer]]


class Route(NamedTuple):
    method: Method
    path: str
    """``/v1/sessions/{session_id}``; every parameter is text."""
    handler: Handler
    summary: str
    tag: str
    scope: Scope | None = None
    """What the key must allow; None: the handler looks itself."""
    args: Any = None
    """The body's Struct, or None."""
    result: Any = None
    """The answer's Struct, or None: any JSON."""
    status: int = 200
    query: Mapping[str, str] = {}
    """Name → what it does."""
    kinds: tuple[str, ...] = (JSON,)
    public: bool = False
    """Needs no key."""
