"""Fuzz targets; see ``python -m tests.fuzz --help``."""
