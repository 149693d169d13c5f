"""The interface of stores, in the module where 0.5 had it."""

from pywhatsweb.legacy.stores.base import BaseStore

__all__ = ["BaseStore"]
