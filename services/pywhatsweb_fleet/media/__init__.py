"""Files that messages carry: checked, sealed and kept in an object store, whoever brings or fetches them.

A library that services share: `library.Library` is its door.
"""
