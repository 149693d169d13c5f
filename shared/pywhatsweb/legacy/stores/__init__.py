"""A program's own store, as 0.5 offered: an interface, and what keeps it. The fleet keeps its own record besides."""

from pywhatsweb.legacy.stores.base import BaseStore
from pywhatsweb.legacy.stores.filesystem import FileSystemStore
from pywhatsweb.legacy.stores.orm import DjangoORMStore
from pywhatsweb.legacy.stores.postgresql import PostgreSQLStore
from pywhatsweb.legacy.stores.redis import RedisStore

__all__ = ["BaseStore", "DjangoORMStore", "FileSystemStore", "PostgreSQLStore", "RedisStore"]
