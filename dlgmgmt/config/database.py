"""``[database]``, and what ``[ims_dialog]`` says of the database."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dlgmgmt.config.dialog_values import without_password
from dlgmgmt.config.problems import shown
from dlgmgmt.config.tables import TableReader
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.storage.settings import StorageSettings

FIELDS: Final = MappingProxyType(
    {
        "db_url": "url",
        "db_mode": "mode",
        "db_update_period": "update_period",
        "db_fetch_rows": "fetch_rows",
        "db_commit_interval": "commit_interval",
        "db_sync_confirm": "sync_confirm",
        "db_sync_timeout": "sync_timeout",
    }
)
"""Fields of the settings whose parameters are called otherwise."""

DATABASE_FILE = "dialogs.sqlite"
DEMO_FILE = "demo.sqlite"


def file_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def storage_settings(
    reader: TableReader,
    good: dict[str, Any],
    dialog: DialogSettings,
    default: Path,
    t1: float,
) -> StorageSettings:
    """All that concerns the database. good: what has been read of ``[database]``.

    default: the file that is the database where ``db_url`` does not say which. Beside it comes
    what cannot be written, unless the table says where. t1: of the transactions.
    """
    fields = {FIELDS.get(name, name): value for name, value in good.items()}
    fields.setdefault("rescue_dir", default.parent)
    settings = StorageSettings(
        url=file_url(default) if dialog.db_url is None else dialog.db_url,
        mode=dialog.db_mode,
        update_period=float(dialog.db_update_period),
        fetch_rows=dialog.db_fetch_rows,
        **fields,
    )
    _check_times(reader, good, settings)
    if settings.sync_confirm and settings.mode == 1:
        _check_hold(reader, good, settings, dialog, t1)
    if dialog.db_mode and dialog.db_url is not None:
        _check_folder(reader, dialog.db_url)
    return settings


def _check_times(reader: TableReader, good: dict[str, Any], settings: StorageSettings) -> None:
    if settings.sync_timeout <= settings.commit_interval:
        key = "db_sync_timeout" if "db_sync_timeout" in good else "db_commit_interval"
        reader.wrong(
            ("database", key),
            f"database.{key}",
            good[key],
            "db_sync_timeout above db_commit_interval (here "
            f"{settings.sync_timeout:g} and {settings.commit_interval:g})",
        )
    if settings.sync_confirm and settings.mode != 1:
        reader.warnings.append(
            f"{reader.place(('database', 'db_sync_confirm'))}database.db_sync_confirm has no "
            f"effect with ims_dialog.db_mode = {settings.mode}: only db_mode 1 writes at once"
        )


def _check_hold(
    reader: TableReader,
    good: dict[str, Any],
    settings: StorageSettings,
    dialog: DialogSettings,
    t1: float,
) -> None:
    """An answer that is held for so long that the call is over by then is of no use."""
    value: float
    other: float
    held, repeated = settings.sync_timeout, 64 * t1
    if held < dialog.noack_timeout and held <= repeated:
        return
    if held >= dialog.noack_timeout:
        path, value = ("ims_dialog", "noack_timeout"), dialog.noack_timeout
        allowed = "db_sync_timeout below noack_timeout, which ends calls without an ACK"
        other = dialog.noack_timeout
    else:
        path, value = ("sip", "t1"), t1
        allowed = "db_sync_timeout up to 64 * t1, for which a callee repeats its answer"
        other = repeated
    if "db_sync_timeout" in good:
        path, value = ("database", "db_sync_timeout"), held
    reader.wrong(path, ".".join(path), value, f"{allowed} (here {held:g} and {other:g})")


def _check_folder(reader: TableReader, url: str) -> None:
    """A file in a directory that is not there would be found out only at the start."""
    # Here, so that dlgctl, which needs only the run directory, does not load SQLAlchemy.
    from dlgmgmt.storage.url import parse_url  # noqa: PLC0415

    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    folder = Path(parsed.database).parent
    if not folder.is_dir():
        path = ("ims_dialog", "db_url")
        reader.wrong(
            path,
            "ims_dialog.db_url",
            without_password(url),
            "a file in a directory that exists",
            f"there is no directory {shown(str(folder))}",
        )
