"""PyWhatsWeb 0.5's interface, synchronous, on top of the async client.

Its users import these names from `pywhatsweb`, where they are exported when they are asked for.
"""
