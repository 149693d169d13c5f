"""The store in Django's models, in the module where 0.5 had it."""

from pywhatsweb.legacy.stores.orm import DjangoORMStore

__all__ = ["DjangoORMStore"]
