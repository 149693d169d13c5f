"""A Django app with models for `DjangoORMStore`: put ``pywhatsweb.django`` into INSTALLED_APPS, then ``migrate``."""
