"""The private chassis of a service: settings, broker access, lifecycle, health, metrics, logs.

Functions and small classes to be called; nothing here is to be inherited from and nothing happens at import.
"""
