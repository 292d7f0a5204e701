"""POSIX extended regular expressions that take linear time, whatever they are matched with.

The texts come from SIP messages and the expressions from clients: with a backtracking matcher, a
client that may only look could keep the daemon busy for hours. Here an expression becomes a graph
of states, and the sets of states that a text leads to are remembered. Case is ignored, as Kamailio
does. There are no assertions but ``^`` and ``$``, and no references to what was matched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

MAX_PATTERN = 256
"""Characters of an expression."""

MAX_REPEAT = 64
"""The largest number in braces."""

MAX_STATES = 500
"""States of one expression: what braces multiply."""

_MAX_SETS = 500
_MAX_DEPTH = 32

Test = Callable[[str], bool]

_CLASSES: dict[str, Test] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda c: c in " \t",
    "cntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "digit": lambda c: c.isascii() and c.isdigit(),
    "graph": lambda c: c.isprintable() and not c.isspace(),
    "lower": str.isalpha,
    "print": str.isprintable,
    "punct": lambda c: c.isascii() and c.isprintable() and not c.isalnum() and c != " ",
    "space": str.isspace,
    "upper": str.isalpha,
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}


class BadPattern(ValueError):
    """The text is no extended regular expression, or one that is too large."""


class _State:
    """Reads a character that ``test`` accepts; without one it is passed without reading.

    at: "^" or "$" where it is passed at that end alone. out: what follows.
    """

    __slots__ = ("at", "out", "test")

    def __init__(self, test: Test | None = None, at: str = "") -> None:
        self.test = test
        self.at = at
        self.out: list[_State] = []


class _Builder:
    """Makes states, and no more than MAX_STATES."""

    def __init__(self) -> None:
        self._made = 0

    def state(self, test: Test | None = None, at: str = "") -> _State:
        self._made += 1
        if self._made > MAX_STATES:
            raise BadPattern(f"more than {MAX_STATES} states")
        return _State(test, at)


# A part of an expression adds itself to a graph: what it is given leads into it, and what it
# returns leads on from it.
_Part = Callable[[_Builder, _State], _State]


def _single(test: Test | None, at: str = "") -> _Part:
    def build(builder: _Builder, before: _State) -> _State:
        state = builder.state(test, at)
        before.out.append(state)
        after = builder.state()
        state.out.append(after)
        return after

    return build


def _sequence(parts: list[_Part]) -> _Part:
    def build(builder: _Builder, before: _State) -> _State:
        for part in parts:
            before = part(builder, before)
        return before

    return build


def _choice(parts: list[_Part]) -> _Part:
    def build(builder: _Builder, before: _State) -> _State:
        after = builder.state()
        for part in parts:
            # A state of its own: a loop within one branch must not lead into another.
            begin = builder.state()
            before.out.append(begin)
            part(builder, begin).out.append(after)
        return after

    return build


def _repeat(part: _Part, least: int, most: int | None) -> _Part:
    def build(builder: _Builder, before: _State) -> _State:
        for _ in range(least):
            before = part(builder, before)
        after = builder.state()
        before.out.append(after)
        if most is None:
            loop = builder.state()
            before.out.append(loop)
            part(builder, loop).out += [loop, after]
            return after
        for _ in range(most - least):
            begin = builder.state()
            before.out.append(begin)
            before = part(builder, begin)
            before.out.append(after)
        return after

    return build


class _Parser:
    """Reads an expression."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise BadPattern(f"more than {MAX_PATTERN} characters")
        self._text = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> _Part:
        whole = self._branches()
        if self._at < len(self._text):
            raise BadPattern("a parenthesis is closed that was not opened")
        return whole

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _take(self, missing: str) -> str:
        found = self._peek()
        if not found:
            raise BadPattern(missing)
        self._at += 1
        return found

    def _branches(self) -> _Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadPattern(f"parentheses more than {_MAX_DEPTH} deep")
        parts = [self._branch()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._branch())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else _choice(parts)

    def _branch(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() not in ("", "|", ")"):
            part = self._atom()
            sign = self._peek()
            if sign and sign in "*+?{":
                self._at += 1
                part = _repeat(part, *self._times(sign))
            parts.append(part)
        return _sequence(parts)

    def _times(self, sign: str) -> tuple[int, int | None]:
        if sign != "{":
            return (1 if sign == "+" else 0), (1 if sign == "?" else None)
        text, closed, _ = self._text[self._at :].partition("}")
        low, comma, high = text.partition(",")
        numbers = [low, high] if high else [low]
        if not closed or not all(n.isascii() and n.isdecimal() for n in numbers):
            raise BadPattern("braces hold one or two numbers")
        if any(len(n) > 3 or int(n) > MAX_REPEAT for n in numbers):
            raise BadPattern(f"a number in braces is at most {MAX_REPEAT}")
        self._at += len(text) + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            raise BadPattern("the second number in braces is the smaller one")
        return least, most

    def _atom(self) -> _Part:
        sign = self._take("")
        if sign == "(":
            part = self._branches()
            if self._take("a parenthesis is open") != ")":
                raise BadPattern("a parenthesis is open")
            return part
        if sign in "*+?{":
            raise BadPattern(f"nothing that could be repeated stands before {sign}")
        if sign == "[":
            return _single(self._bracket())
        if sign == ".":
            return _single(lambda _c: True)
        if sign in "^$":
            return _single(None, sign)
        if sign == "\\":
            sign = self._take("nothing follows the backslash")
            if sign.isalnum():
                raise BadPattern("a backslash stands before a letter or digit")
        return _single(_one_of({sign.lower(), sign.upper()}))

    def _bracket(self) -> Test:
        inverted = self._peek() == "^"
        self._at += inverted
        single: set[str] = set()
        tests: list[Test] = []
        begin = self._at
        while True:
            sign = self._take("a bracket is open")
            if sign == "]" and self._at > begin + 1:
                break
            if sign == "[" and self._peek() == ":":
                tests.append(self._class())
            elif self._peek() == "-" and self._peek(2)[1:] not in ("", "]"):
                self._at += 1
                tests.append(_between(sign, self._take("a bracket is open")))
            else:
                single |= {sign.lower(), sign.upper()}
        tests.append(_one_of(single))
        return lambda c: any(test(c) for test in tests) is not inverted

    def _class(self) -> Test:
        name, closed, _ = self._text[self._at + 1 :].partition(":]")
        if not closed or name not in _CLASSES:
            raise BadPattern("no such class of characters")
        self._at += len(name) + 3
        return _CLASSES[name]


def _one_of(wanted: set[str]) -> Test:
    return lambda c: c in wanted


def _between(low: str, high: str) -> Test:
    if low > high:
        raise BadPattern(f"the range {low}-{high} is empty")
    return lambda c: low <= c.lower() <= high or low <= c.upper() <= high


class _Set:
    """States that a text may have led to. over: one of them ends the expression."""

    __slots__ = ("next", "over", "readers")

    def __init__(self, readers: frozenset[_State], *, over: bool) -> None:
        self.readers = readers
        self.over = over
        self.next: dict[str, _Set] = {}


class Pattern:
    """A compiled expression; raises BadPattern. Not for several threads at once."""

    def __init__(self, pattern: str) -> None:
        self._first = _State()
        self._last = _Parser(pattern).parse()(_Builder(), self._first)
        self._sets: dict[tuple[frozenset[_State], bool], _Set] = {}
        self._opening = self._set([self._first], at_start=True)
        self._empty = self._set([self._first], at_start=True, at_end=True)

    def found_in(self, text: str) -> bool:
        """Whether some part of ``text`` fits."""
        if not text:
            return self._empty.over
        current = self._opening
        for character in text[:-1]:
            if current.over:
                return True
            following = current.next.get(character)
            if following is None:
                following = self._step(current, character)
                current.next[character] = following
            current = following
        # Only at the end does $ hold.
        return current.over or self._step(current, text[-1], at_end=True).over

    def _step(self, current: _Set, character: str, *, at_end: bool = False) -> _Set:
        reached = [
            following
            for state in current.readers
            if state.test is not None and state.test(character)
            for following in state.out
        ]
        # A match may begin after every character.
        return self._set([*reached, self._first], at_end=at_end)

    def _set(
        self, states: Iterable[_State], *, at_start: bool = False, at_end: bool = False
    ) -> _Set:
        seen: set[_State] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            shut = (state.at == "^" and not at_start) or (state.at == "$" and not at_end)
            if state.test is None and not shut:
                waiting += state.out
        over = self._last in seen
        key = frozenset(state for state in seen if state.test is not None), over
        known = self._sets.get(key)
        if known is None:
            known = _Set(key[0], over=over)
            if len(self._sets) >= _MAX_SETS:
                for other in self._sets.values():
                    other.next.clear()
                self._sets.clear()
            self._sets[key] = known
        return known
