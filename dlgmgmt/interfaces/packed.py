"""msgpack in and out, with the checks that a body from the network needs."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]
import msgspec


class PackedError(ValueError):
    """The body is no msgpack message, or one of its parts has no place in JSON-RPC."""


def unpack(body: bytes) -> object:
    """The decoded message; raises PackedError.

    msgpack itself checks the lengths that an encoder claims against the body, and lets nothing
    follow the message. Keys, extension types and timestamps are left to the structural checks:
    they are wrong there, not unreadable.
    """
    try:
        return msgpack.unpackb(body, raw=False, strict_map_key=False)
    except UnicodeDecodeError:
        raise PackedError("a text is no UTF-8") from None
    except (msgpack.UnpackException, ValueError, TypeError, OverflowError) as error:
        # TypeError: a key that cannot be one, such as an array.
        raise PackedError(str(error) or "it ends too early") from None


class Packer:
    """Encodes records and plain values; UnicodeEncodeError for text that UTF-8 cannot hold."""

    def encode(self, value: object) -> bytes:
        """The encoded ``value``."""
        return bytes(msgpack.packb(msgspec.to_builtins(value)))
