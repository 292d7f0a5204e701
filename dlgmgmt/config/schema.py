"""Every table and parameter of the configuration file, with its reader, in one place."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.config import dialog_values as d
from dlgmgmt.config import network_values as n
from dlgmgmt.config import values as v
from dlgmgmt.config.values import Reader

Table = MappingProxyType[str, Reader]

SIP: Table = MappingProxyType(
    {
        "listen": v.listeners(),
        "server_header": v.header_text(),
        "t1": v.seconds(0.01, 10),
        "t2": v.seconds(0.01, 60),
        "t4": v.seconds(0.01, 60),
        # RFC 3261 16.6 wants more than three minutes; a test and an impatient operator want less.
        "timer_c": v.seconds(0.1, 3600),
        "max_transactions": v.integer(16, 10_000_000),
        "max_message": v.integer(1300, 65_535),
        "max_branches": v.integer(1, 64),
        "udp_limit": v.integer(0, 65_535),
        "accept_alias": v.one_of("none", "tls", "all"),
    }
)

STREAM: Table = MappingProxyType(
    {
        "connect_timeout": v.seconds(0.1, 120),
        "handshake_timeout": v.seconds(0.1, 120),
        "message_timeout": v.seconds(0.1, 600),
        "idle_timeout": v.seconds(0.1, 86_400),
        "ping_interval": v.seconds(0, 3600),
        "max_connections": v.integer(1, 1_000_000),
        "max_connections_per_peer": v.integer(1, 1_000_000),
        "max_unsent": v.integer(65_536, 1_073_741_824),
    }
)

TLS: Table = MappingProxyType(
    {
        "certificate": n.pem_path(),
        "private_key": n.pem_path(),
        "ca_file": n.pem_path(),
        "verify_client": v.one_of("none", "optional", "require"),
        "verify_server": v.switch(),
        "minimum": v.one_of("1.2", "1.3"),
    }
)

DNS: Table = MappingProxyType(
    {
        "servers": n.name_servers(),
        "timeout": v.seconds(0.05, 30),
        "attempts": v.integer(1, 10),
        "min_ttl": v.integer(0, 86_400),
        "max_ttl": v.integer(1, 604_800),
        "negative_ttl": v.integer(0, 86_400),
        "cache_size": v.integer(16, 1_000_000),
        "back_off": v.seconds(0, 3600),
    }
)

LIMITS: Table = MappingProxyType(
    {
        "rate": v.integer(0, 1_000_000),
        "burst": v.integer(1, 1_000_000),
        "packets": v.integer(0, 10_000_000),
        "transactions": v.integer(0, 10_000_000),
        "refusals": v.integer(0, 100_000),
        "retry_after": v.integer(1, 3600),
        "sources": v.integer(16, 1_000_000),
        "trusted": n.networks(),
    }
)

ALLOW: Table = MappingProxyType({"listen": n.one_listener(), "from": n.networks(1)})

ROUTE: Table = MappingProxyType(
    {
        "domain": v.domain(),
        "user_prefix": v.user_prefix(),
        "targets": v.sip_targets(),
        "fork": v.one_of("parallel", "serial"),
        "fix_contact": v.switch(),
    }
)

TRACE: Table = MappingProxyType(
    {
        "enabled": v.switch(),
        "hep": n.collector(),
        "hep_id": v.integer(0, 4_294_967_295),
        "hep_password": n.password(),
        "ring_messages": v.integer(0, 10_000_000),
        "ring_bytes": v.integer(0, 4_294_967_296),
    }
)

MI_FIFO: Table = MappingProxyType(
    {
        "fifo_name": v.absolute_path(),
        "fifo_mode": v.octal_mode(),
        "fifo_user": v.user(),
        "fifo_group": v.group(),
        "reply_dir": v.absolute_path(),
        "request_deadline": v.seconds(0.05, 600),
        "open_deadline": v.seconds(0.05, 600),
        "write_deadline": v.seconds(0.05, 600),
        "reply_deadline": v.seconds(0.05, 3600),
        "max_replies": v.integer(1, 65_536),
    }
)

MI_DATAGRAM: Table = MappingProxyType(
    {
        "listen": n.door_sockets(kinds=("unix", "udp"), names=("mi.sock", 8033)),
        "socket_mode": v.octal_mode(),
        "socket_user": v.user(),
        "socket_group": v.group(),
        "max_request": v.integer(1024, 1_048_576),
        "max_reply": v.integer(8192, 16_777_216),
        "max_pending": v.integer(1, 65_536),
        "write_deadline": v.seconds(0.05, 600),
    }
)

HTTP: Table = MappingProxyType(
    {
        "listen": v.host_port(),
        "max_body": v.integer(1024, 1_073_741_824),
        "max_batch": v.integer(1, 100_000),
        "max_depth": v.integer(4, 500),
        "max_connections": v.integer(1, 65_536),
        "read_timeout": v.seconds(0.1, 3600),
        "write_timeout": v.seconds(0.1, 3600),
        "keepalive_timeout": v.seconds(0.1, 3600),
        "certificate": n.pem_path(),
        "private_key": n.pem_path(),
        "client_ca": n.pem_path(),
        "host_names": n.host_names(),
        "rate": v.integer(0, 1_000_000),
        "burst": v.integer(1, 1_000_000),
        "max_requests": v.integer(0, 65_536),
        "max_client_connections": v.integer(1, 65_536),
    }
)

ACCESS: Table = MappingProxyType(
    {
        "tokens_file": n.file_path(),
        "loopback_role": v.one_of("none", "viewer", "operator", "admin"),
        "audit_log": v.absolute_path(),
        "audit_max_bytes": v.integer(4096, 1_099_511_627_776),
        "audit_files": v.integer(1, 10_000),
    }
)

JSONRPC_FIFO: Table = MappingProxyType(
    {
        "fifo_name": v.or_empty(v.absolute_path()),
        "fifo_mode": v.octal_mode(),
        "fifo_user": v.user(),
        "fifo_group": v.group(),
        "reply_dir": v.absolute_path(),
        "max_request": v.integer(1024, 16_777_216),
        "request_deadline": v.seconds(0.05, 600),
        "open_deadline": v.seconds(0.05, 600),
        "write_deadline": v.seconds(0.05, 600),
        "reply_deadline": v.seconds(0.05, 3600),
        "max_replies": v.integer(1, 65_536),
    }
)

JSONRPC_SOCK: Table = MappingProxyType(
    {
        "listen": n.door_sockets(loopback=False),
        "socket_mode": v.octal_mode(),
        "socket_user": v.user(),
        "socket_group": v.group(),
        "max_request": v.integer(1024, 16_777_216),
        "max_datagram": v.integer(1024, 16_777_216),
        "max_connections": v.integer(1, 65_536),
        "max_connections_per_peer": v.integer(1, 65_536),
        "max_pending": v.integer(1, 65_536),
        "request_deadline": v.seconds(0.05, 600),
        "write_deadline": v.seconds(0.05, 600),
        "idle_timeout": v.seconds(0.05, 86_400),
    }
)

BINRPC: Table = MappingProxyType(
    {
        "listen": n.door_sockets(),
        "socket_mode": v.octal_mode(),
        "socket_user": v.user(),
        "socket_group": v.group(),
        "max_request": v.integer(1024, 16_777_216),
        "max_reply": v.integer(1024, 16_777_216),
        "max_connections": v.integer(1, 65_536),
        "max_connections_per_peer": v.integer(1, 65_536),
        "request_deadline": v.seconds(0.05, 600),
        "write_deadline": v.seconds(0.05, 600),
        "idle_timeout": v.seconds(0.05, 86_400),
    }
)

IMS_DIALOG: Table = MappingProxyType(
    {
        "enable_stats": v.switch(),
        "hash_size": v.integer(1, 16_777_216),
        "rr_param": v.token(),
        "dlg_flag": v.integer(0, 31),
        "timeout_avp": d.avp(),
        "default_timeout": v.integer(1, 2_147_483_647),
        "dlg_extra_hdrs": v.header_lines(),
        "dlg_match_mode": v.integer(0, 2),
        "detect_spirals": v.switch(),
        "db_url": d.database_url(),
        "db_mode": v.integer(0, 3),
        "db_update_period": v.integer(1, 86_400),
        "db_fetch_rows": v.integer(0, 1_000_000),
        "profiles_with_value": d.profiles(),
        "profiles_no_value": d.profiles(),
        "bridge_controller": d.sip_uri(),
        "initial_cbs_inscript": v.switch(),
        "ruri_pvar": d.pseudo_variable(),
        "send_bye": v.switch(),
        "early_timeout": v.integer(1, 86_400),
        "noack_timeout": v.integer(1, 86_400),
        "end_timeout": v.integer(1, 86_400),
        "timeout_noreset": v.switch(),
        "session_timers": v.switch(),
        "ka_timer": v.integer(0, 86_400),
        "ka_interval": v.integer(1, 86_400),
        "ka_failed_limit": v.integer(1, 1000),
        "ka_sides": v.one_of("none", "caller", "callee", "both"),
        "max_dialogs": v.integer(1, 100_000_000),
    }
)

DATABASE: Table = MappingProxyType(
    {
        "db_commit_interval": v.seconds(0.001, 10),
        "db_sync_confirm": v.switch(),
        "db_sync_timeout": v.seconds(0.01, 60),
        "owner": v.token(),
        "on_expired": v.one_of("bye", "purge"),
        "expired_rate": v.integer(1, 100_000),
        "while_loading": v.one_of("refuse", "forward"),
        "connect_timeout": v.seconds(0, 3600),
        "stop_timeout": v.seconds(0.1, 3600),
        "retry_max": v.seconds(0.05, 600),
        "synchronous": v.one_of("full", "normal"),
        "upgrade": v.switch(),
        "rescue_dir": d.directory(),
        "late_after": v.seconds(0.1, 86_400),
        "answer_timeout": v.seconds(0.1, 600),
    }
)

ROUTING: Table = MappingProxyType(
    {
        "script": d.script_path(),
        "time_limit": v.seconds(0.01, 60),
        "workers": v.integer(1, 64),
        "max_queue": v.integer(1, 1_000_000),
        "load_limit": v.seconds(0.1, 3600),
    }
)

TABLES: MappingProxyType[str, Table] = MappingProxyType(
    {
        "sip": SIP,
        "mi_fifo": MI_FIFO,
        "mi_datagram": MI_DATAGRAM,
        "http": HTTP,
        "jsonrpc_fifo": JSONRPC_FIFO,
        "jsonrpc_sock": JSONRPC_SOCK,
        "binrpc": BINRPC,
        "access": ACCESS,
        "ims_dialog": IMS_DIALOG,
        "database": DATABASE,
        "routing": ROUTING,
        "trace": TRACE,
    }
)

WITHIN_SIP: MappingProxyType[str, Table] = MappingProxyType(
    {"stream": STREAM, "tls": TLS, "dns": DNS, "limits": LIMITS}
)
"""The tables within ``[sip]``."""

SIP_LISTS: MappingProxyType[str, Table] = MappingProxyType({"route": ROUTE, "allow": ALLOW})
"""The arrays of tables within ``[sip]``."""

PARAMETERS: tuple[tuple[str, str], ...] = tuple(
    (name, parameter)
    for tables in (
        TABLES,
        {f"sip.{name}": table for name, table in (WITHIN_SIP | SIP_LISTS).items()},
    )
    for name, table in tables.items()
    for parameter in table
)
"""Table and name of every parameter."""
