"""The store of JSON files, in the module where 0.5 had it."""

from pywhatsweb.legacy.stores.filesystem import FileSystemStore

__all__ = ["FileSystemStore"]
