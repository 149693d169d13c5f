"""PyWhatsWeb 0.5's stores: see `pywhatsweb.legacy.stores`."""

from pywhatsweb.legacy.stores import BaseStore, DjangoORMStore, FileSystemStore, PostgreSQLStore, RedisStore

__all__ = ["BaseStore", "DjangoORMStore", "FileSystemStore", "PostgreSQLStore", "RedisStore"]
