"""The manual is complete, says what the program says of itself, and names tests that exist."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import json
from pathlib import Path

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.config import schema
from dlgmgmt.config.changes import FIXED
from dlgmgmt.config.database import FIELDS
from dlgmgmt.dialog.callbacks import DlgCb
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.manual import book, facts, render, table
from dlgmgmt.manual.book import ENTRIES
from dlgmgmt.manual.entry import Entry, Kind
from dlgmgmt.manual.proofs import PROOFS
from dlgmgmt.routing import pv
from dlgmgmt.routing.dialog import ScriptDialog
from dlgmgmt.routing.message import ScriptMessage
from dlgmgmt.routing.restrictions import ALLOWED
from dlgmgmt.routing.settings import RoutingSettings
from tests.unit.commands.harness import ME, House
from tests.unit.config.harness import read

ROOT = Path(__file__).parents[2]


def manual_names() -> list[tuple[str, str]]:
    """Number and name of every heading of the manual."""
    lines = (ROOT / "tests/data/manual_names.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    return [(number, name) for number, name in pairs]


def of_kind(*kinds: Kind) -> list[Entry]:
    return [entry for entry in ENTRIES if entry.kind in kinds]


# -- complete --------------------------------------------------------------------------------------


def test_every_name_of_the_manual_has_its_entry_and_no_other_claims_to_be_of_it() -> None:
    ours = [(entry.chapter, entry.name) for entry in ENTRIES if "+" not in entry.chapter]
    assert sorted(ours) == sorted(manual_names())


def test_no_name_of_a_kind_is_there_twice() -> None:
    seen = [(entry.kind, entry.name) for entry in book.everything()]
    assert len(seen) == len(set(seen))


def test_every_parameter_of_the_program_is_in_the_manual() -> None:
    fields = {*dataclasses.fields(DialogSettings), *dataclasses.fields(RoutingSettings)}
    names = {entry.name for entry in of_kind(Kind.PARAMETER)} - {*schema.DATABASE}
    assert names == {field.name for field in fields} == {*schema.IMS_DIALOG, *schema.ROUTING}


def test_every_parameter_of_the_database_is_in_the_manual(tmp_path: Path) -> None:
    entries = {entry.name: entry for entry in of_kind(Kind.PARAMETER)}
    config = read(tmp_path, "")
    for name in schema.DATABASE:
        if name == "while_loading":
            value: object = config.while_loading
        else:
            value = getattr(config.storage, FIELDS.get(name, name))
        expected = "none" if name == "rescue_dir" else json.dumps(value)
        assert facts.default(entries[name]) == expected


def test_every_function_of_a_script_is_in_the_manual() -> None:
    # ruri is an attribute of the message, the same as $ru.
    assert set(ALLOWED) - {"ruri"} == {entry.name for entry in of_kind(Kind.FUNCTION)}


def test_every_pseudo_variable_is_in_the_manual_and_can_be_read() -> None:
    names = {entry.name.removeprefix("$").partition("(")[0] for entry in of_kind(Kind.VARIABLE)}
    assert names == set(pv.PLAIN) | set(pv.WITH_ARGUMENT)


def test_every_command_of_the_program_is_in_the_manual() -> None:
    for kind, protocol in ((Kind.MI, MgmtProtocol.MI), (Kind.RPC, MgmtProtocol.RPC)):
        names = {entry.name for entry in book.everything() if entry.kind is kind}
        assert set(facts.registry().names(protocol)) <= names


# -- true ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", of_kind(Kind.PARAMETER), ids=lambda e: e.name)
def test_what_is_allowed_is_what_the_configuration_says(entry: Entry) -> None:
    reader = {**schema.IMS_DIALOG, **schema.ROUTING, **schema.DATABASE}[entry.name]
    assert entry.type == reader.allowed
    assert not facts.missing(entry)


def test_what_waits_for_a_restart_is_said() -> None:
    said = {
        entry.name
        for entry in of_kind(Kind.PARAMETER)
        if "Read at the start." in " ".join(entry.lines())
    }
    assert said == FIXED["ims_dialog"] | FIXED["routing"] | FIXED["database"]


@pytest.mark.parametrize("entry", of_kind(Kind.PARAMETER), ids=lambda e: e.name)
def test_an_example_of_a_parameter_is_taken(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "routes.py").touch()
    (heading,) = [
        name for name in ("ims_dialog", "routing", "database") if entry.name in schema.TABLES[name]
    ]
    (example,) = entry.example_lines()
    # db_sync_confirm asks for it.
    mode = "[ims_dialog]\ndb_mode = 1\n" if heading == "database" else ""
    config = read(tmp_path, f"{mode}[{heading}]\n{example}\n")
    assert not config.warnings
    assert example.startswith(f"{entry.name} = ")


def is_refused(entry: Entry) -> bool:
    """Whether the daemon says that it has no such command."""
    protocol = MgmtProtocol.MI if entry.kind is Kind.MI else MgmtProtocol.RPC
    try:
        House().dispatcher.call(protocol, entry.name, [], ME)
    except CommandError as error:
        return error.failure is Failure.UNKNOWN_COMMAND
    return False


@pytest.mark.parametrize("entry", of_kind(Kind.MI, Kind.RPC), ids=lambda e: e.name)
def test_a_command_that_is_missing_is_refused(entry: Entry) -> None:
    said = "not in this version yet" in "\n".join(render.page(entry))
    assert said == is_refused(entry)


@pytest.mark.parametrize("entry", of_kind(Kind.FUNCTION, Kind.API), ids=lambda e: e.name)
def test_a_function_is_written_as_it_is(entry: Entry) -> None:
    target, _, rest = entry.signature.partition(".")
    owner = {"dlg": ScriptDialog, "msg": ScriptMessage, "api": DialogApi}[target]
    method = getattr(owner, entry.name)
    written = rest.partition("(")[2].rpartition(")")[0]
    names = [part.partition("=")[0].strip() for part in written.split(",") if part]
    assert names == list(inspect.signature(method).parameters)[1:]


def test_the_callback_types_are_those_of_the_api() -> None:
    names = {f"DLGCB_{kind.name}" for kind in DlgCb}
    assert names == {entry.name for entry in of_kind(Kind.CALLBACK)}
    for name in names:
        assert isinstance(getattr(DialogApi, name), DlgCb)


def test_an_example_of_a_script_is_python() -> None:
    for entry in of_kind(Kind.FUNCTION, Kind.API, Kind.VARIABLE):
        source = "\n".join(entry.example_lines())
        assert bool(ast.parse(source, entry.name).body) == bool(source)


@pytest.mark.parametrize("entry", of_kind(Kind.VARIABLE), ids=lambda e: e.name)
def test_a_variable_can_be_written_where_the_manual_says_so(entry: Entry) -> None:
    arguments = {"$dlg(...)": "callid", "$dlg_ctx(...)": "timeout"}
    bare, bracket, _ = entry.name.partition("(")
    text = f"{bare}({arguments.get(entry.name, 'key')})" if bracket else bare
    assert (pv.compile_spec(text).set is not None) == ("written" in entry.signature)


def test_texts_are_short_and_fit_a_terminal() -> None:
    for entry in ENTRIES:
        lines = entry.lines()
        assert 1 <= len(lines) <= 8, entry.name
        assert max(map(len, lines)) <= 88, entry.name
        assert entry.summary, entry.name
        assert not entry.summary.endswith("."), entry.name
        assert all(line.isascii() for line in [*lines, *entry.example_lines()]), entry.name


# -- found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("dlg_list", ["dlg_list"]),
        ("dlg", ["$dlg(...)"]),
        ("$dlg(...)", ["$dlg(...)"]),
        ("$dlg(callid)", ["$dlg(...)"]),
        ("set_dlg_profile()", ["set_dlg_profile"]),
        ('dlg.set_dlg_profile("caller", "$fu")', ["set_dlg_profile"]),
        ("msg.t_relay()", ["t_relay"]),
        ("dlg_bridge", ["dlg_bridge", "dlg_bridge"]),
        ("dlg.list", ["dlg.list"]),
        ("[ims_dialog].hash_size", ["hash_size"]),
        ("HASH_SIZE", ["hash_size"]),
        ("dialog:active_dialogs", ["active_dialogs"]),
        ("dialog_ng:active", ["active_dialogs"]),
        ("6.4", ["get_profile_size"]),
        ("2-1.2", ["terminate_dlg"]),
        ("$ru", ["$ru"]),
        ("$rU", ["$rU"]),
        ("dlgcb_created", ["DLGCB_CREATED"]),
        ("dlgmgmt.api.DLGCB_EARLY", ["DLGCB_EARLY"]),
        ("core.uptime", ["core.uptime"]),
        ("", []),
        ("(", []),
        ("nothing_like_it", []),
    ],
)
def test_a_name_is_found_however_it_is_written(asked: str, found: list[str]) -> None:
    assert [entry.name for entry in book.find(asked)] == found


@pytest.mark.parametrize("entry", book.everything(), ids=lambda e: e.name)
def test_every_entry_is_found_under_its_own_name_and_aliases(entry: Entry) -> None:
    for spelling in (entry.name, *entry.aliases):
        assert entry in book.find(spelling)


# -- proved ----------------------------------------------------------------------------------------


@functools.cache
def names_in(path: str) -> frozenset[str]:
    """Names of the test functions of a file, those of its classes as Class::test."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + member.name
            for member in inner
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
            and member.name.startswith("test_")
        }
    return frozenset(found)


def test_every_entry_is_proved_by_a_test() -> None:
    assert [entry.name for entry in ENTRIES if not facts.proofs(entry)] == []


@pytest.mark.parametrize(
    "test", sorted({test for entry in ENTRIES for test in facts.proofs(entry)})
)
def test_the_tests_exist(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).is_file()
    assert name in names_in(path)


def test_proofs_are_of_entries() -> None:
    named = {(kind, name) for kind, tests in PROOFS.items() for name in tests}
    assert named <= {(entry.kind, entry.name) for entry in ENTRIES}


# -- README ----------------------------------------------------------------------------------------


def test_the_table_in_the_readme_is_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == table.renewed(text), "run python -m dlgmgmt.manual.table"


def test_the_table_is_put_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    assert table.main([str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{table.BEGIN}\n\n| name |")
    assert text.endswith(f"|\n\n{table.END}\nafter\n")
    assert "old" not in text.split(table.END)[0].splitlines()
    for entry in ENTRIES:
        assert f"\n| `{entry.name}` | {entry.chapter} | {entry.kind.value} | " in text
    with pytest.raises(ValueError, match="no place for the table"):
        table.renewed("no marks")
