"""What can be wrong with a configuration, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass

MODPARAM = "--modparam"
"""What stands for the file where a value came from the command line."""


@dataclass(slots=True, frozen=True)
class Problem:
    """One thing that is wrong. line: from 1, 0 where it concerns the file as a whole."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """As compilers print it: file, line, message."""
        if self.file == MODPARAM:
            return f"{self.file}: {self.message}"
        return f"{self.file}:{self.line}: {self.message}" if self.line else self.message


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` holds all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def shown(value: object) -> str:
    """A value as it may be printed: escaped, and not longer than a line."""
    text = ascii(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 100 else text[:97] + "..."


def refusal(name: str, value: object, why: str, allowed: str) -> str:
    """The message about a value that is not taken. why: "" where ``allowed`` says it all."""
    reason = f": {why}" if why else ""
    return f"{name} = {shown(value)} is refused{reason}; allowed: {allowed}"
