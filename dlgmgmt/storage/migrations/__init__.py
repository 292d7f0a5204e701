"""How the tables have grown: alembic's environment, and one module a version."""
