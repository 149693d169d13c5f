"""``python -m pywhatsweb_fleet.session_worker``: settings from the environment, logs, run."""

from __future__ import annotations

import os
import sys

from pywhatsweb_fleet.session_worker import app
from pywhatsweb_fleet.session_worker.settings import Settings
from pywhatsweb_runtime import lifecycle, logs, settings, tracing


def main() -> int:
    try:
        config = settings.load(Settings, os.environ)
        tracing.set_up("session-worker", config.traces_url, config.traces_share)
    except (settings.SettingsError, tracing.TracingError) as error:
        return lifecycle.fail(str(error))
    logs.set_up("session-worker", form=config.log_format, level=config.log_level, path=config.log_path)
    return lifecycle.run(lambda stopping: app.run(config, stopping))


if __name__ == "__main__":
    sys.exit(main())
