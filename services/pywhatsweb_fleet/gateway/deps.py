"""What every request may use."""

from __future__ import annotations

from typing import NamedTuple

from pywhatsweb_fleet.gateway.auth import Door
from pywhatsweb_fleet.gateway.feed import Feeds
from pywhatsweb_fleet.gateway.keys import Keys
from pywhatsweb_fleet.gateway.outcomes import Outcomes
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_fleet.gateway.users import Users
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.health import Health
from pywhatsweb_runtime.publisher import Publisher


class Deps(NamedTuple):
    settings: GatewaySettings
    bus: Bus
    publisher: Publisher
    keys: Keys
    users: Users
    door: Door
    feeds: Feeds
    outcomes: Outcomes
    health: Health
