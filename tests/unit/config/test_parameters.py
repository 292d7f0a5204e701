"""Every parameter of [ims_dialog] and [routing]: default, good values, wrong ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dlgmgmt.config import schema
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.routing.settings import RoutingSettings
from tests.unit.config.harness import problems, read

SWITCH = "allowed: true or false (or 1 or 0)"
DAY = "allowed: an integer from 1 to 86400"
SYMBOL = "allowed: an RFC 3261 token of at most 64 characters"
NAMES = "allowed: names with semicolons between them"
URI = "allowed: a SIP URI without headers"
AVP = 'allowed: an AVP, "$avp(NAME)", "$avp(s:NAME)" or "$avp(i:NUMBER)"'

# name: default; good TOML values and what they become; the wrong type, what is out of range; what
# the message says is allowed.
PARAMETERS: dict[str, tuple[object, dict[str, object], list[str], str]] = {
    "enable_stats": (True, {"0": False, "1": True, "false": False}, ['"on"', "2"], SWITCH),
    "hash_size": (4096, {"1": 1, "1024": 1024}, ['"big"', "0"], "allowed: an integer from 1 to"),
    "rr_param": ("did", {'"xyz"': "xyz"}, ["3", '"a;b"'], SYMBOL),
    "dlg_flag": (None, {"0": 0, "31": 31}, ["true", "32"], "allowed: an integer from 0 to 31"),
    "timeout_avp": (
        None,
        {'"$avp(i:10)"': "$avp(i:10)", '"$avp(life)"': "$avp(life)", '"$avp(s:x)"': "$avp(s:x)"},
        ["10", '"i:10"', '"$ru"', '"$avp(i:x)"', '"$avp(a)$avp(b)"', '"$avp()"'],
        AVP,
    ),
    "default_timeout": (43200, {"21600": 21600}, ["1.5", "0"], "allowed: an integer from 1 to"),
    "dlg_extra_hdrs": (
        "",
        {r'"Hint: credit expired\r\n"': "Hint: credit expired\r\n", '""': ""},
        ["1", '"no header"', r'"Via: x\r\n"'],
        'allowed: header lines, each "Name: value',
    ),
    "dlg_match_mode": (0, {"0": 0, "2": 2}, ['"did"', "3"], "allowed: an integer from 0 to 2"),
    "detect_spirals": (True, {"0": False, "true": True}, ["[]", "-1"], SWITCH),
    "db_url": (
        None,
        {
            f'"{url}"': url
            for url in (
                "mysql://kamailio:kamailiorw@localhost/kamailio",
                "postgres://a:b/c@d@db.example.com:5433/calls",
                "postgresql+psycopg://a@db.example.com/calls",
                "sqlite:////var/db/calls.sqlite",
                "sqlite:///var/db/calls.sqlite",
            )
        },
        ["1", '"localhost"', '"mysql://a b"', '"text:///var/db"', '"sqlite://calls.sqlite"'],
        "allowed: a database URL",
    ),
    "db_mode": (
        0,
        {"0": 0, "1": 1, "2": 2, "3": 3},
        ['"0"', "true", "-1", "4"],
        "allowed: an integer from 0 to 3",
    ),
    "db_update_period": (60, {"120": 120}, ['"1"', "0"], DAY),
    "db_fetch_rows": (200, {"0": 0, "500": 500}, ["0.5", "-1"], "allowed: an integer from 0 to"),
    "profiles_with_value": (
        (),
        {
            '"caller ; my_profile"': ("caller", "my_profile"),
            '["caller", "my_profile"]': ("caller", "my_profile"),
            '"caller;"': ("caller",),
            '""': (),
            "[]": (),
        },
        ["1", "[1]", '"a b"', '"a;;b"', '"a/s"', '"a;a"', '["a;b"]', '["é"]'],
        NAMES,
    ),
    "profiles_no_value": ((), {'"in ; out"': ("in", "out")}, ["true", '"out ; out"'], NAMES),
    "bridge_controller": (
        "sip:controller@localhost",
        {'"sip:desk@example.com:5070;x=y"': "sip:desk@example.com:5070;x=y"},
        ["1", '"tel:1"', '"sips:a@b"', '"sip:a@b?Subject=x"', '"<sip:a@b>"', r'"sip:a\r\nB@c"'],
        URI,
    ),
    "initial_cbs_inscript": (True, {"0": False, "1": True}, ['"1"', "2"], SWITCH),
    "ruri_pvar": (
        "$ru",
        {'"$avp(dialled)"': "$avp(dialled)", '"$rU"': "$rU"},
        ["1", '"ru"', '"$nonsense"', '"$ru;$rU"', '"$"'],
        "allowed: a pseudo-variable",
    ),
    "send_bye": (True, {"0": False}, ['"no"', "2"], SWITCH),
    "early_timeout": (300, {"1": 1}, ['"1"', "0"], DAY),
    "noack_timeout": (60, {"86400": 86400}, ["1.0", "86401"], DAY),
    "end_timeout": (300, {"60": 60}, ["[]", "-5"], DAY),
    "timeout_noreset": (False, {"1": True}, ['"1"', "3"], SWITCH),
    "session_timers": (True, {"0": False}, ['"off"', "2"], SWITCH),
    "ka_timer": (30, {"0": 0, "10": 10}, ['"1"', "-1"], "allowed: an integer from 0 to 86400"),
    "ka_interval": (30, {"60": 60}, ["true", "0"], DAY),
    "ka_failed_limit": (1, {"3": 3}, ['"3"', "0"], "allowed: an integer from 1 to 1000"),
    "ka_sides": ("none", {'"both"': "both"}, ["1", '"all"'], 'allowed: "none" or "caller" or'),
    "max_dialogs": (500_000, {"10": 10}, ['"1"', "0"], "allowed: an integer from 1 to"),
}

GOOD = [(name, text, value) for name, row in PARAMETERS.items() for text, value in row[1].items()]
WRONG = [(name, text) for name, row in PARAMETERS.items() for text in row[2]]


def test_the_list_above_is_complete() -> None:
    assert [*PARAMETERS] == [field.name for field in dataclasses.fields(DialogSettings)]
    assert [*PARAMETERS] == [*schema.IMS_DIALOG]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_default(tmp_path: Path, name: str) -> None:
    assert getattr(read(tmp_path, "").dialog, name) == PARAMETERS[name][0]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_good_value(tmp_path: Path, name: str, text: str, value: object) -> None:
    config = read(tmp_path, f"[ims_dialog]\n{name} = {text}\n")
    assert getattr(config.dialog, name) == value
    assert type(getattr(config.dialog, name)) is type(value)
    assert config.warnings == () or name == "dlg_match_mode"


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value(tmp_path: Path, name: str, text: str) -> None:
    (problem,) = problems(tmp_path, f"# here\n[ims_dialog]\n\n{name} = {text}\n")
    assert problem.startswith(f"dlgmgmt.toml:4: ims_dialog.{name} = ")
    assert " is refused" in problem
    assert PARAMETERS[name][3] in problem
    assert problem.isascii()


def test_an_unknown_name(tmp_path: Path) -> None:
    found = problems(tmp_path, "[ims_dialog]\nka_intervall = 5\n[routing]\nthreads = 4\n")
    assert found[0].startswith(
        "dlgmgmt.toml:2: unknown parameter ims_dialog.ka_intervall = 5 (did you mean ka_interval?)"
        "; allowed: enable_stats, hash_size, "
    )
    assert found[1] == (
        "dlgmgmt.toml:4: unknown parameter routing.threads = 4; "
        "allowed: script, time_limit, workers, max_queue, load_limit"
    )


def test_why_a_value_is_refused_is_told(tmp_path: Path) -> None:
    text = (
        '[ims_dialog]\nprofiles_no_value = "a; b; a"\nruri_pvar = "$nonsense"\n'
        'db_url = "no://pass:secret@ host"\n'
    )
    twice, unknown, url = problems(tmp_path, text)
    assert "profiles_no_value = 'a; b; a' is refused: a stands in it twice; allowed: " in twice
    assert "ruri_pvar = '$nonsense' is refused: unknown pseudo-variable $nonsense" in unknown
    assert "db_url = 'no://pass:***@ host' is refused: no database that can be used: 'no'" in url


def test_a_profile_in_both_lists_is_refused(tmp_path: Path) -> None:
    text = '[ims_dialog]\nprofiles_with_value = "caller; trunk"\nprofiles_no_value = ["trunk"]\n'
    (problem,) = problems(tmp_path, text)
    assert problem == (
        "dlgmgmt.toml:3: ims_dialog.profiles_no_value = 'trunk' is refused: trunk is in "
        "profiles_with_value too; allowed: a name in one of the two lists"
    )


def test_no_more_profiles_than_the_limit(tmp_path: Path) -> None:
    names = ";".join(f"p{number}" for number in range(257))
    (problem,) = problems(tmp_path, f'[ims_dialog]\nprofiles_with_value = "{names}"\n')
    assert problem.endswith("at most 256")
    assert len(problem) < 400


@pytest.mark.parametrize("mode", [1, 2])
def test_a_match_mode_is_deprecated(tmp_path: Path, mode: int) -> None:
    config = read(tmp_path, f"[ims_dialog]\ndlg_match_mode = {mode}\n")
    (warning,) = config.warnings
    assert warning.startswith(f"{tmp_path}/dlgmgmt.toml:2: ims_dialog.dlg_match_mode is deprecated")
    assert config.dialog.dlg_match_mode == mode


# -- [routing] -------------------------------------------------------------------------------------


def test_the_defaults_of_routing(tmp_path: Path) -> None:
    routing = read(tmp_path, "").routing
    assert routing == RoutingSettings(
        script=None, time_limit=1.0, workers=4, max_queue=10_000, load_limit=30.0
    )


def test_a_script_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    script = tmp_path / "routes" / "mine.py"
    script.touch()
    text = "[routing]\ntime_limit = 2\nworkers = 64\nmax_queue = 1\nload_limit = 5\nscript = "
    routing = read(tmp_path, text + '"routes/mine.py"').routing
    assert routing == RoutingSettings(str(script), 2.0, 64, 1, 5.0)
    assert read(tmp_path, f'{text}"{script}"').routing == routing


@pytest.mark.parametrize("path", ["none.py", ".", "a\\u0000b"])
def test_a_script_that_is_no_file(tmp_path: Path, path: str) -> None:
    (problem,) = problems(tmp_path, f'[routing]\nworkers = 1\nscript = "{path}"\n')
    assert problem.startswith("dlgmgmt.toml:3: routing.script = ")
    assert "allowed: the path of an existing file, relative to the configuration file" in problem


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("script = 3", "the path of an existing file"),
        ('script = ""', "the path of an existing file"),
        ('time_limit = "1"', "seconds, a number from 0.01 to 60"),
        ("time_limit = 0", "seconds, a number from 0.01 to 60"),
        ("workers = true", "an integer from 1 to 64"),
        ("workers = 65", "an integer from 1 to 64"),
        ("max_queue = 0.5", "an integer from 1 to 1000000"),
        ("max_queue = 0", "an integer from 1 to 1000000"),
        ("load_limit = 0", "seconds, a number from 0.1 to 3600"),
    ],
)
def test_wrong_values_of_routing(tmp_path: Path, line: str, allowed: str) -> None:
    (problem,) = problems(tmp_path, f"[routing]\n{line}\n")
    assert problem.startswith(f"dlgmgmt.toml:2: routing.{line.partition(' ')[0]} = ")
    assert f" is refused; allowed: {allowed}" in problem
