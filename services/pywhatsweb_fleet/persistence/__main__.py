"""Starts the persistence service: ``python -m pywhatsweb_fleet.persistence``, or ``pww run persistence``."""

from __future__ import annotations

import os
import sys
from functools import partial

from pywhatsweb_fleet.persistence import app
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_runtime import lifecycle, logs, tracing
from pywhatsweb_runtime import settings as environment


def main() -> int:
    try:
        settings = environment.load(PersistenceSettings, os.environ)
        tracing.set_up("persistence", settings.traces_url, settings.traces_share)
    except (environment.SettingsError, tracing.TracingError) as error:
        return lifecycle.fail(str(error))
    logs.set_up("persistence", form=settings.log_format, level=settings.log_level, path=settings.log_path)
    return lifecycle.run(partial(app.run, settings))


if __name__ == "__main__":
    sys.exit(main())
