"""Routing scripts: what an operator's Python file sees of a message, and what it decides."""
