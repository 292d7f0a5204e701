"""What the daemon says on stdout: that it loads, that it is ready, and where."""

from __future__ import annotations

from collections.abc import Iterator

from dlgmgmt.config import Config
from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.management import Management
from dlgmgmt.sip.engine import SipEngine


def announce(word: str, config: Config, engine: SipEngine, management: Management) -> None:
    """One line: ``loading`` as soon as every door is open, ``ready`` when calls are taken.

    Scripts wait for the latter. Without a database there is no other.
    """
    doors = management.doors
    sip = " ".join(f"sip={name}" for name in engine.listeners)
    more = "".join(f" mi={address}" for address in doors.mi_datagram.addresses)
    more += "".join(f" binrpc={address}" for address in doors.binrpc.addresses)
    more += "".join(f" jsonrpc={address}" for address in doors.jsonrpc)
    url = _url(config, management)
    print(f"{word} {sip} fifo={config.fifo.fifo_name} http={url}{more}", flush=True)  # noqa: T201 - the contract


def introduce(config: Config, engine: SipEngine, management: Management, restored: int) -> None:
    """What a person who has started a demo wants to try next. restored: calls of a demo before."""
    for line in _introduction(config, engine, management, restored):
        print(line, flush=True)  # noqa: T201 - for a person


def _introduction(
    config: Config, engine: SipEngine, management: Management, restored: int
) -> Iterator[str]:
    doors = management.doors
    yield ""
    yield f"  SIP    {', '.join(engine.listeners)}"
    yield f"  FIFO   {config.fifo.fifo_name} (replies in {config.fifo.reply_dir})"
    yield f"  MI     {', '.join(map(str, doors.mi_datagram.addresses))}"
    yield f"  HTTP   {_url(config, management)}"
    yield f"  JSON   {', '.join(doors.jsonrpc)}"
    yield f"  BINRPC {', '.join(map(str, doors.binrpc.addresses))}"
    if config.storage.mode:
        where = without_password(config.storage.url)
        yield f"  DB     {where} (db_mode {config.storage.mode})"
    yield ""
    if restored:
        yield f"{restored} calls of the demo before, which was killed, are there again. Its phones"
        yield "are gone: who ends one of these calls gets no answer to the BYEs."
        yield ""
    yield "Demo phones are calling each other. In another terminal:"
    yield "  .venv/bin/dlgctl list"
    yield "  .venv/bin/dlgctl kill CALL-ID"
    yield f"  kamcmd -s {doors.binrpc.addresses[0]} dlg.list"
    yield f"  RPCFIFOPATH={doors.settings.jsonrpc_fifo.fifo_name} kamctl dialog show"
    yield "Ctrl-C ends the daemon."
    yield ""


def _url(config: Config, management: Management) -> str:
    host, port = management.http.address
    scheme = "http" if config.http.certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/RPC"
