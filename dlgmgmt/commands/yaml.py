"""Plain values as YAML, so that the description of the interface can be read and compared."""

from __future__ import annotations

import json

_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(value: object, indent: int = 0) -> str:
    """``value`` as block-style YAML 1.2; scalars are written as JSON, which YAML includes."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{_key(key)}:\n{to_yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{_key(key)}: {_scalar(item)}\n")
        return "".join(lines)
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            if isinstance(item, (dict, list)) and item:
                block = to_yaml(item, indent + 1)
                lines.append(f"{pad}- {block[len(pad) + 2 :]}")
            else:
                lines.append(f"{pad}- {_scalar(item)}\n")
        return "".join(lines)
    return f"{pad}{_scalar(value)}\n"


def _key(key: str) -> str:
    plain = key.replace("_", "").replace("-", "")
    # A key such as 200 or true would be read as something else than a string.
    safe = plain.isascii() and plain.isalnum() and not key[0].isdigit()
    return key if safe and key.lower() not in _WORDS else json.dumps(key)


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
