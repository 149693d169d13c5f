"""The parts of a fleet's stored files, made from settings; every service that handles files begins here."""

from __future__ import annotations

from typing import NamedTuple

from pywhatsweb_fleet.media.fitting import Fitting
from pywhatsweb_fleet.media.images import Images
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import Objects
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.media.sounds import Sounds, converter
from pywhatsweb_fleet.media.uploads import Uploads
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store


class Shelf(NamedTuple):
    library: Library
    uploads: Uploads
    fitting: Fitting


def open_shelf(settings: MediaSettings, store: Store, keyring: Keyring) -> Shelf | None:
    """None when no place for files is set. Raises ValueError when what is set is none; `Fitting.close` ends it."""
    if settings.media_url is None:
        return None
    objects = Objects(settings.media_url, settings.media_endpoint)
    library = Library(store, keyring, objects, settings)
    fitting = Fitting(library, Images(), Sounds(converter(settings.ffmpeg)))
    return Shelf(library, Uploads(store, objects, library, settings), fitting)
