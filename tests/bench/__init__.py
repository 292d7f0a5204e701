"""The project's speed figures: ``make bench``. Nothing here runs under pytest."""
