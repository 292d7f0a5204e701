"""Dialogs in a database: written behind, read at the start, on SQLite, PostgreSQL and MariaDB."""
