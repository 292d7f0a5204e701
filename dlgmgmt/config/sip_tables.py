"""``[sip]``, the tables within it, and ``[trace]``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlgmgmt.config import schema, tls_files
from dlgmgmt.config.lines import Path as KeyPath
from dlgmgmt.config.problems import shown
from dlgmgmt.config.tables import TableReader
from dlgmgmt.sip.errors import BadUri
from dlgmgmt.sip.settings import (
    AllowRule,
    DnsSettings,
    LimitSettings,
    Listener,
    Route,
    SipSettings,
    StreamSettings,
    TlsSettings,
    TraceSettings,
)
from dlgmgmt.sip.uri import parse_uri


def sip_settings(
    reader: TableReader,
    data: dict[str, Any],
    good: dict[str, Any],
    trace: dict[str, Any],
    source: Path | None,
) -> SipSettings:
    """All of it. good, trace: what has been read of ``[sip]`` itself, and of ``[trace]``.

    source: the configuration file, beside which relative paths begin.
    """
    table = data.get("sip")
    inner = table if isinstance(table, dict) else {}
    parts = {
        name: reader.table(("sip", name), inner, readers)
        for name, readers in schema.WITHIN_SIP.items()
    }
    plain = SipSettings(**good)
    if not plain.t1 <= plain.t2:
        key = "t2" if "t2" in good else "t1"
        reader.wrong(
            ("sip", key),
            f"sip.{key}",
            good[key],
            f"t1 not above t2 (here t1 = {plain.t1:g}, t2 = {plain.t2:g})",
        )
    return SipSettings(
        **good,
        routes=_routes(reader, inner, plain),
        stream=StreamSettings(**parts["stream"]),
        tls=_tls(reader, parts["tls"], plain.listen, source),
        dns=_dns(reader, parts["dns"]),
        limits=LimitSettings(**parts["limits"]),
        allow=_allow(reader, inner, plain.listen),
        trace=_trace(reader, trace),
    )


def _routes(reader: TableReader, sip: dict[str, Any], plain: SipSettings) -> tuple[Route, ...]:
    found = []
    open_route = 0
    for number, table in enumerate(reader.tables(("sip", "route"), sip)):
        path: KeyPath = ("sip", "route", number)
        reader.unknown(path, table, [*schema.ROUTE])
        good = reader.values(path, "sip.route", table, schema.ROUTE)
        if "targets" not in table:
            reader.problem(path, "sip.route has no targets; a route needs at least one")
        if "targets" in good:
            _check_targets(reader, path, good["targets"], plain)
        if open_route:
            reader.warnings.append(
                f"{reader.place(path)}this sip.route is never reached: "
                f"the one on line {open_route} takes every request"
            )
        elif not {"domain", "user_prefix"} & table.keys():
            open_route = reader.line(path)
        if "targets" in good:
            found.append(Route(**good))
    return tuple(found)


def _check_targets(
    reader: TableReader, path: KeyPath, targets: tuple[str, ...], plain: SipSettings
) -> None:
    path = (*path, "targets")
    if len(targets) > plain.max_branches:
        allowed = f"at most sip.max_branches = {plain.max_branches} targets"
        reader.wrong(path, "sip.route.targets", [*targets], allowed)
    kinds = {listener.transport for listener in plain.listen}
    for target in targets:
        kind = _transport(target)
        if kind and kind not in kinds:
            why = f"sip.listen has no {kind} socket to reach {shown(target)} from"
            allowed = f"transports of sip.listen, {', '.join(sorted(kinds))}"
            reader.wrong(path, "sip.route.targets", [*targets], allowed, why)


def _transport(target: str) -> str:
    try:
        return (parse_uri(target).param("transport") or "").lower()
    except BadUri:  # not reached: its reader has taken it
        return ""


def _tls(
    reader: TableReader,
    good: dict[str, Any],
    listen: tuple[Listener, ...],
    source: Path | None,
) -> TlsSettings:
    given = dict(good)
    for name in ("certificate", "private_key", "ca_file"):
        if name in good:
            base = Path() if source is None else source.parent
            good[name] = str((base / good[name]).absolute())
    tls = TlsSettings(**good)
    for name, why in tls_files.problems(tls).items():
        allowed = schema.TLS[name].allowed
        reader.wrong(("sip", "tls", name), f"sip.tls.{name}", given[name], allowed, why)
    secure = sorted({one.transport for one in listen if one.transport in ("tls", "wss")})
    if secure and tls.certificate is None and tls.private_key is None:
        what = " and ".join(secure)
        reader.problem(
            ("sip", "listen"),
            f"sip.listen has {what}, which needs sip.tls.certificate and sip.tls.private_key",
        )
    return tls


def _dns(reader: TableReader, good: dict[str, Any]) -> DnsSettings:
    dns = DnsSettings(**good)
    if dns.min_ttl > dns.max_ttl:
        key = "min_ttl" if "min_ttl" in good else "max_ttl"
        reader.wrong(
            ("sip", "dns", key),
            f"sip.dns.{key}",
            good[key],
            f"min_ttl not above max_ttl (here {dns.min_ttl} and {dns.max_ttl})",
        )
    return dns


def _allow(
    reader: TableReader, sip: dict[str, Any], listen: tuple[Listener, ...]
) -> tuple[AllowRule, ...]:
    found = []
    for number, table in enumerate(reader.tables(("sip", "allow"), sip)):
        path: KeyPath = ("sip", "allow", number)
        reader.unknown(path, table, [*schema.ALLOW])
        good = reader.values(path, "sip.allow", table, schema.ALLOW)
        for name in schema.ALLOW:
            if name not in table:
                reader.problem(path, f"sip.allow has no {name}; a rule needs listen and from")
        if good.keys() != schema.ALLOW.keys():
            continue
        rule = AllowRule(good["listen"], good["from"])
        if rule.listen not in listen:
            reader.wrong(
                (*path, "listen"),
                "sip.allow.listen",
                table["listen"],
                schema.ALLOW["listen"].allowed,
                "sip.listen does not have it",
            )
        elif strange := _strange(rule):
            reader.wrong(
                (*path, "from"),
                "sip.allow.from",
                table["from"],
                schema.ALLOW["from"].allowed,
                f"{strange} is of another address family than the listener",
            )
        else:
            found.append(rule)
    return tuple(found)


def _strange(rule: AllowRule) -> str:
    """A network that no peer of the listener can be in, "" if there is none."""
    version = 6 if ":" in rule.listen.host else 4
    return next((str(one) for one in rule.networks if one.version != version), "")


def _trace(reader: TableReader, good: dict[str, Any]) -> TraceSettings:
    trace = TraceSettings(**good)
    if trace.enabled and trace.hep is None:
        reader.wrong(
            ("trace", "enabled"), "trace.enabled", good["enabled"], "false without trace.hep"
        )
    return trace
