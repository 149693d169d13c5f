"""Starts the webhooks service: ``python -m pywhatsweb_fleet.webhooks``, or ``pww run webhooks``."""

from __future__ import annotations

import os
import sys
from functools import partial

from pywhatsweb_fleet.storage.sealing import Keyring, MasterKeyError
from pywhatsweb_fleet.webhooks import app
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime import lifecycle, logs, outbound, tracing
from pywhatsweb_runtime import settings as environment


def main() -> int:
    try:
        settings = environment.load(WebhooksSettings, os.environ)
        tracing.set_up("webhooks", settings.traces_url, settings.traces_share)
        Keyring.parse(settings.encryption_key or "")
    except (environment.SettingsError, tracing.TracingError) as error:
        return lifecycle.fail(str(error))
    except MasterKeyError as error:
        return lifecycle.fail(f"PWW_ENCRYPTION_KEY: {error}")
    try:
        outbound.networks(settings.webhook_networks)
    except ValueError:
        return lifecycle.fail("PWW_WEBHOOK_NETWORKS: networks such as 10.0.0.0/8, separated by commas")
    logs.set_up("webhooks", form=settings.log_format, level=settings.log_level, path=settings.log_path)
    return lifecycle.run(partial(app.run, settings))


if __name__ == "__main__":
    sys.exit(main())
