"""Reading an operator's script: from a file to a namespace, with the line of whatever is wrong."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import os
import stat
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlgmgmt.routing.modules import NAME, LoadedModules

MAX_BYTES = 1 << 20
"""A larger file is no script."""

PARAMETERS = MappingProxyType(
    {
        "request_route": ("msg", "dlg"),
        "branch_route": ("msg", "dlg"),
        "onreply_route": ("msg", "dlg"),
        "failure_route": ("msg", "dlg"),
        "event_route": ("event", "dlg"),
        "mod_init": ("api",),
    }
)
"""What the daemon calls by itself, and with what. A script has at least one of these."""

_SUFFIX = "_route"
_SHOWN = 300
_NONE = f"defines nothing that the daemon calls: none of {', '.join(PARAMETERS)}"


class ScriptError(Exception):
    """A file that cannot be the script. line: 0 when it is none in particular."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.file = file
        self.line = line
        self.message = message


class Script:
    """A loaded script: the names of its module are its attributes, but those that begin with _.

    path: the file as it stands in tracebacks.
    """

    __slots__ = ("_module", "path")

    def __init__(self, path: str, module: types.ModuleType) -> None:
        self.path = path
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._module, name)

    @property
    def route_names(self) -> tuple[str, ...]:
        """The functions named like a route, those among them that only the script knows too."""
        return tuple(
            name
            for name, value in list(vars(self._module).items())
            if name.endswith(_SUFFIX) and name[0] != "_" and callable(value)
        )


def load(
    path: str | os.PathLike[str],
    init: Callable[[Script], None] | None = None,
    modules: LoadedModules | None = None,
) -> Script:
    """Run the file in a module of its own, check what it defines, and run ``init`` with it.

    modules: for who wants to take the load back. Raises ScriptError; the script that was loaded
    before then goes on as if nothing had been.
    """
    file = str(Path(path))
    source, code, lines = _compiled(file)
    module = types.ModuleType(NAME)
    module.__file__ = file
    script = Script(file, module)
    modules = modules or LoadedModules(file)
    modules.begin(module)
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the operator's file is what this is for
        _check_module(file, module, lines)
        if init is not None:
            init(script)
    except BaseException as error:
        modules.undo()
        if isinstance(error, (KeyboardInterrupt, ScriptError)):
            raise
        raise ScriptError(file, where(error, file), describe(error)) from error
    # No modification time: the lines shown are those that run, whatever becomes of the file.
    shown = io.StringIO(source, newline=None).readlines()
    linecache.cache[file] = (len(source), None, shown, file)
    return script


def check(path: str | os.PathLike[str]) -> None:
    """Check all that can be seen without running the file. Raises ScriptError."""
    _compiled(str(Path(path)))


# -- where something went wrong ------------------------------------------------------------------


def where(exc: BaseException, path: str) -> int:
    """The innermost line of the script that an exception came through; 0 if it did not."""
    line = 0
    step = exc.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == path:
            line = step.tb_lineno
        step = step.tb_next
    return line


def place(exc: BaseException, path: str) -> str:
    """As :func:`where`, as "file:line"; of whatever was innermost if it was not the script."""
    line = where(exc, path)
    if line:
        return f"{path}:{line}"
    step = exc.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return path if step is None else f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"


def stack_line(frame: types.FrameType | None, path: str) -> int:
    """The innermost line of the script on a stack that is running; 0 if it is not there."""
    while frame is not None and frame.f_code.co_filename != path:
        frame = frame.f_back
    return frame.f_lineno or 0 if frame is not None else 0


def stack_place(frame: types.FrameType | None, path: str) -> str:
    """As :func:`stack_line`, as "file:line"; of whatever is innermost if it is not the script."""
    line = stack_line(frame, path)
    if line or frame is None:
        return f"{path}:{line}" if line else path
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def describe(exc: BaseException) -> str:
    """Type and message of an exception on one line of bounded length."""
    name = type(exc).__name__
    try:
        text = str(exc)
    except BaseException:  # noqa: BLE001 - an exception of the script may do anything in __str__
        text = "(its message cannot be read)"
    text = "".join(char if char.isprintable() else " " for char in text[: _SHOWN + 1])
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 3] + "..."
    return f"{name}: {text}" if text else name


# -- reading -------------------------------------------------------------------------------------


def _compiled(file: str) -> tuple[str, types.CodeType, dict[str, int]]:
    """Text, code, and on which line the module binds which name, of a file that passes."""
    source = _read(file)
    try:
        tree = ast.parse(source, file)
        code = compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ScriptError(file, error.lineno or 0, f"syntax error: {error.msg}") from None
    except ValueError as error:
        raise ScriptError(file, 0, f"syntax error: {error}") from None
    except (RecursionError, MemoryError):
        raise ScriptError(file, 0, "nested too deeply to be compiled") from None
    return source, code, _check_tree(file, tree)


def _read(file: str) -> str:
    try:
        # Not blocking: a FIFO would hold up the start for ever.
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise ScriptError(file, 0, "not a regular file")
            with os.fdopen(number, "rb", closefd=False) as stream:
                data = stream.read(MAX_BYTES + 1)
        finally:
            os.close(number)
    except OSError as error:
        raise ScriptError(file, 0, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ScriptError(file, 0, f"cannot be read: {error}") from None
    if len(data) > MAX_BYTES:
        raise ScriptError(file, 0, f"larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScriptError(file, line, f"not UTF-8: byte 0x{data[error.start]:02x}") from None


# -- what it defines -----------------------------------------------------------------------------


def _check_tree(file: str, tree: ast.Module) -> dict[str, int]:
    lines: dict[str, int] = {}
    for node in _statements(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines[node.name] = node.lineno
            # What a decorator makes of it is seen only when it runs.
            if node.name in PARAMETERS and not node.decorator_list:
                _check_definition(file, node)
        else:
            lines.update((name, node.lineno) for name in _bound(node))
    # After "import *" only running it tells.
    if "*" not in lines and PARAMETERS.keys().isdisjoint(lines):
        raise ScriptError(file, 0, _NONE)
    return lines


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Those that run when the module does, at whatever depth of if, try, with, for and while."""
    waiting: list[ast.stmt] = tree.body[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        inner: list[ast.stmt] = []
        for part in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            inner += getattr(part, "body", [])
        waiting += [
            *getattr(node, "finalbody", [])[::-1],
            *getattr(node, "orelse", [])[::-1],
            *inner[::-1],
        ]


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name
    elif isinstance(node, ast.ClassDef):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _check_definition(file: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    args = node.args
    given = len(PARAMETERS[node.name])
    positional = len(args.posonlyargs) + len(args.args)
    least = positional - len(args.defaults)
    named = any(default is None for default in args.kw_defaults)
    if least > given or named or (positional < given and args.vararg is None):
        raise ScriptError(file, node.lineno, _wrong_parameters(node.name))
    if isinstance(node, ast.AsyncFunctionDef) or _yields(node):
        raise ScriptError(file, node.lineno, _not_plain(node.name))


def _yields(node: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(part))
    return False


def _check_module(file: str, module: types.ModuleType, lines: dict[str, int]) -> None:
    found = [name for name in PARAMETERS if getattr(module, name, None) is not None]
    if not found:
        raise ScriptError(file, 0, _NONE)
    for name in found:
        function = getattr(module, name)
        line = lines.get(name, 0)
        if not callable(function):
            raise ScriptError(file, line, f"{name} is no function")
        if not _takes(function, len(PARAMETERS[name])):
            raise ScriptError(file, line, _wrong_parameters(name))
        if (
            inspect.iscoroutinefunction(function)
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise ScriptError(file, line, _not_plain(name))


def _takes(function: Callable[..., object], given: int) -> bool:
    try:
        inspect.signature(function).bind(*(None,) * given)
    except TypeError:
        return False
    except ValueError:
        return True  # a callable without a signature: it may well take them
    return True


def _wrong_parameters(name: str) -> str:
    names = PARAMETERS[name]
    number = "one parameter" if len(names) == 1 else "two parameters"
    return f"{name} must take {number}: def {name}({', '.join(names)})"


def _not_plain(name: str) -> str:
    return f"{name} must be a plain function, without async and yield"
