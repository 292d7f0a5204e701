"""The management interfaces: MI FIFO and JSON-RPC over HTTP. Each parses, dispatches, renders."""
