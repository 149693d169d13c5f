"""Starts the gateway: ``python -m pywhatsweb_fleet.gateway``, or ``pww run gateway``."""

from __future__ import annotations

import os
import sys
from functools import partial

from pywhatsweb_fleet.gateway import app
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_runtime import lifecycle, logs, tracing
from pywhatsweb_runtime import settings as environment


def main() -> int:
    try:
        settings = environment.load(GatewaySettings, os.environ)
        tracing.set_up("gateway", settings.traces_url, settings.traces_share)
    except (environment.SettingsError, tracing.TracingError) as error:
        return lifecycle.fail(str(error))
    logs.set_up("gateway", form=settings.log_format, level=settings.log_level, path=settings.log_path)
    return lifecycle.run(partial(app.run, settings))


if __name__ == "__main__":
    sys.exit(main())
