"""Starts the dispatcher: ``python -m pywhatsweb_fleet.dispatcher``, or ``pww run dispatcher``."""

from __future__ import annotations

import os
import sys
from functools import partial

from pywhatsweb_fleet.dispatcher import app
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_runtime import lifecycle, logs, tracing
from pywhatsweb_runtime import settings as environment


def main() -> int:
    try:
        settings = environment.load(DispatcherSettings, os.environ)
        tracing.set_up("dispatcher", settings.traces_url, settings.traces_share)
    except (environment.SettingsError, tracing.TracingError) as error:
        return lifecycle.fail(str(error))
    logs.set_up("dispatcher", form=settings.log_format, level=settings.log_level, path=settings.log_path)
    return lifecycle.run(partial(app.run, settings))


if __name__ == "__main__":
    sys.exit(main())
