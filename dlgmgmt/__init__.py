"""dlgmgmt: a record-routing SIP proxy that knows, lists and ends every dialog on it."""

__version__ = "0.1.0"
