"""The record in SQL: tables, migrations and repositories, on SQLite (embedded) and PostgreSQL (a fleet).

`store` runs functions ``fn(conn, …)`` in transactions on threads; the other modules are such functions, a file a
concept. They take a Connection, do their statements, and neither commit nor wait.
"""
