"""Pseudo-variables of the SIP message, AVPs and script variables.

A getter never raises: what a malformed message does not say is None. A setter raises RouteError
for a value that cannot stand there, and ScriptLimit.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from types import MappingProxyType

from dlgmgmt.routing.decision import Value
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.run import Run, store
from dlgmgmt.sip import grammar
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.headers import COMPACT
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import Uri, parse_uri

Getter = Callable[[Run], Value]
Setter = Callable[[Run, Value], None]
Access = tuple[Getter, Setter | None]

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_TOKEN = re.compile(grammar.TOKEN, re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_USER = re.compile(r"[^@\s<>\"]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9\-._]{1,255}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_MAX_NUMBER = 2**31


def _read(get: Callable[[Message], Value]) -> Getter:
    def getter(run: Run) -> Value:
        if run.message is None:
            return None
        try:
            value = get(run.message)
        except BadMessage:
            return None
        return None if value == "" else value

    return getter


def _uri(text: str) -> Uri | None:
    try:
        return parse_uri(text)
    except BadMessage:
        return None


def user_of(text: str) -> str | None:
    """The user of a URI without its password; the number of a tel: URI."""
    uri = _uri(text)
    if uri is not None:
        return uri.user.partition(":")[0] or None
    if text[:4].lower() == "tel:":
        return text[4:].partition(";")[0].strip() or None
    return None


def domain_of(text: str) -> str | None:
    """The host of a SIP URI as it is written in one: IPv6 in brackets."""
    uri = _uri(text)
    if uri is None:
        return None
    return f"[{uri.host}]" if ":" in uri.host else uri.host


def display_name(value: str) -> str | None:
    """What stands before the angle bracket of a From or To value, with its quotes."""
    value = value.strip()
    if value.startswith('"'):
        match = _QUOTED.match(value)
        return match[0] if match is not None else None
    name, bracket, _ = value.partition("<")
    return (name.strip() or None) if bracket else None


def _display(msg: Message, header: str) -> Value:
    value = msg.need(header)
    grammar.name_addr(value, header)
    return display_name(value)


def method_of(msg: Message) -> str:
    """The method of a request, or of the request that a reply answers. Raises BadMessage."""
    return msg.method or msg.cseq[1]


# -- Request-URI and destination -------------------------------------------------------------------


def _text(value: Value, what: str) -> str:
    if value is None:
        raise RouteError(f"{what} cannot be unset")
    return str(value)


def _set_ru(run: Run, value: Value) -> None:
    run.set_uri(_text(value, "$ru"))


def _own_uri(run: Run, what: str) -> Uri:
    uri = _uri(run.current_uri())
    if uri is None:
        raise RouteError(f"{what} cannot be set: the Request-URI is no SIP URI")
    return uri


def _set_user(run: Run, value: Value) -> None:
    run.check("ruri")
    user = "" if value is None else str(value)
    if not (user.isascii() and user.isprintable() and _USER.fullmatch(user)):
        raise RouteError(f"not the user of a URI: {user[:200]!r}")
    run.set_uri(_own_uri(run, "$rU").with_user(user))


def _set_domain(run: Run, value: Value) -> None:
    run.check("ruri")
    host = _text(value, "$rd").removeprefix("[").removesuffix("]").lower()
    if _HOST.fullmatch(host) is None and not _is_ipv6(host):
        raise RouteError(f"not a host: {host[:200]!r}")
    uri = _own_uri(run, "$rd")
    run.set_uri(uri._replace(host=host).with_user(uri.user))


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _set_du(run: Run, value: Value) -> None:
    run.set_destination(None if value is None else str(value))


def _source(index: int) -> Getter:
    def getter(run: Run) -> Value:
        return run.given.source[index] or None if run.given is not None else None

    return getter


def _reason(run: Run) -> Value:
    return (run.message.reason or None) if run.message is not None else None


PLAIN: MappingProxyType[str, Access] = MappingProxyType(
    {
        "ci": (_read(lambda m: m.callid), None),
        "fu": (_read(lambda m: m.from_uri), None),
        "fU": (_read(lambda m: user_of(m.from_uri)), None),
        "fd": (_read(lambda m: domain_of(m.from_uri)), None),
        "fn": (_read(lambda m: _display(m, "from")), None),
        "ft": (_read(lambda m: m.from_tag), None),
        "tu": (_read(lambda m: m.to_uri), None),
        "tU": (_read(lambda m: user_of(m.to_uri)), None),
        "td": (_read(lambda m: domain_of(m.to_uri)), None),
        "tn": (_read(lambda m: _display(m, "to")), None),
        "tt": (_read(lambda m: m.to_tag), None),
        "ru": (lambda run: run.current_uri() or None, _set_ru),
        "rU": (lambda run: user_of(run.current_uri()), _set_user),
        "rd": (lambda run: domain_of(run.current_uri()), _set_domain),
        "du": (lambda run: run.current_destination(), _set_du),
        "rm": (_read(method_of), None),
        "rs": (lambda run: run.status or None, None),
        "rr": (_reason, None),
        "si": (_source(0), None),
        "sp": (_source(1), None),
        "ua": (_read(lambda m: m.get("user-agent")), None),
        "cs": (_read(lambda m: m.cseq[0]), None),
    }
)


# -- with an argument ------------------------------------------------------------------------------


def long_name(name: str) -> str:
    """A header's lower-case long name, as messages know it."""
    low = name.strip().lower()
    return COMPACT.get(low, low)


def _hdr(arg: str) -> Access:
    if _TOKEN.fullmatch(arg) is None:
        raise ValueError("not a header name")
    name = long_name(arg)
    return _read(lambda m: m.get(name)), None


def avp_key(arg: str) -> str:
    """The key of an AVP: "name" and "s:name" are the same one, "i:10" is another than "10"."""
    kind, colon, name = arg.partition(":")
    if not colon:
        kind, name = "s", arg
    if kind == "i" and _NUMBER.fullmatch(name) and int(name) < _MAX_NUMBER:
        return f"i:{int(name)}"
    if kind != "s" or _NAME.fullmatch(name) is None:
        raise ValueError("an AVP is named s:NAME, i:NUMBER or NAME, 64 characters at most")
    return name


def _avp(arg: str) -> Access:
    key = avp_key(arg)

    def put(run: Run, value: Value) -> None:
        store(run.session.avps, key, value)

    return lambda run: run.session.avps.get(key), put


def _var(arg: str) -> Access:
    if _NAME.fullmatch(arg) is None:
        raise ValueError("a variable is named with letters, digits, _ . -, 64 at most")

    def put(run: Run, value: Value) -> None:
        store(run.session.variables, arg, value)

    return lambda run: run.session.variables.get(arg), put


WITH_ARGUMENT: MappingProxyType[str, Callable[[str], Access]] = MappingProxyType(
    {"hdr": _hdr, "avp": _avp, "var": _var}
)
