"""The version, where it can be read without anything else of the package."""

__version__ = "0.6.0"
