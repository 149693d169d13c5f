"""PyWhatsWeb: a client for a multi-tenant WhatsApp gateway whose front door is a message broker."""

__version__ = "0.6.0"
