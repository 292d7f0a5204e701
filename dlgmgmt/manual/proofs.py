"""Which tests prove what the manual says: pytest node ids, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dlgmgmt.manual.entry import Kind

_CONFIG = "tests/unit/test_config.py"
_VALUES = "tests/unit/config/test_parameters.py"
_RECOUNT = "tests/unit/dialog/test_recount.py"
_TABLE = "tests/unit/dialog/test_table.py"
_TERMINATION = "tests/unit/dialog/test_termination.py"
_BRIDGE = "tests/unit/sip/test_bridge.py"
_REFER = "tests/unit/sip/test_refer.py"
_CALLS = "tests/unit/sip/test_calls.py"
_KEEPALIVE = "tests/unit/sip/test_keepalive.py"
_FUNCTIONS = "tests/unit/routing/test_dialog_functions.py"
_PROFILES = "tests/unit/routing/test_profiles.py"
_MESSAGE = "tests/unit/routing/test_message.py"
_RESTRICTIONS = "tests/unit/routing/test_restrictions.py"
_ROUTES = "tests/unit/routing/test_routes.py"
_LATER = "tests/unit/routing/test_routes_later.py"
_OPENING = "tests/unit/routing/test_routes_dialog.py"
_PV_DIALOG = "tests/unit/routing/test_pv_dialog.py"
_PV_SIP = "tests/unit/routing/test_pv_sip.py"
_DISPATCHER = "tests/unit/commands/test_dispatcher.py"
_HTTP = "tests/unit/interfaces/test_http.py"
_MI = "tests/unit/interfaces/test_mi_binding.py"
_SIP_MI = "tests/sip/test_replay_mi.py"
_SIP_KILLS = "tests/sip/test_kills.py"
_SIP_SETTINGS = "tests/sip/test_own_settings.py"
_SIP_CALLS = "tests/sip/test_calls.py"
_SIP_KEEPALIVE = "tests/sip/test_keepalive.py"
_SIP_EXCHANGES = "tests/sip/test_exchanges.py"


def _of(path: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{path}::{name}" for name in names)


_TAKEN_OR_REFUSED = _of(_VALUES, "test_a_good_value", "test_a_wrong_value")

_PARAMETERS = {
    "enable_stats": _of(
        _DISPATCHER, "test_without_enable_stats_the_groups_of_dialogs_are_not_there"
    )
    + _TAKEN_OR_REFUSED,
    "hash_size": _of(_CONFIG, "test_hash_size_is_rounded_down_with_a_warning")
    + _of(_TABLE, "test_hash_size_must_be_a_power_of_two"),
    "dlg_flag": _of(
        _OPENING,
        "test_dlg_flag_makes_a_relayed_invite_a_dialog",
        "test_without_that_flag_there_is_none",
    ),
    "timeout_avp": _of(
        _OPENING,
        "test_timeout_avp_at_the_creation",
        "test_timeout_avp_in_a_sequential_request",
        "test_a_timeout_avp_that_is_no_number_of_seconds",
    ),
    "default_timeout": _of(_SIP_SETTINGS, "test_dialog_timeout")
    + _of(_TERMINATION, "test_the_timeout_ends_the_dialog_once"),
    "dlg_extra_hdrs": _of(_SIP_KILLS, "test_answered")
    + _of(_CONFIG, "test_extra_headers_are_taken_as_header_lines"),
    "detect_spirals": _of(_SIP_EXCHANGES, "test_a_spiral_joins_its_dialog")
    + _of(_TABLE, "test_spirals_can_be_turned_off"),
    "dlg_match_mode": _of(_VALUES, "test_a_match_mode_is_deprecated"),
    "db_url": _of(_VALUES, "test_why_a_value_is_refused_is_told") + _TAKEN_OR_REFUSED,
    "db_mode": _of(_VALUES, "test_why_a_value_is_refused_is_told") + _TAKEN_OR_REFUSED,
    "db_update_period": _TAKEN_OR_REFUSED,
    "db_fetch_rows": _TAKEN_OR_REFUSED,
    "profiles_with_value": _of(
        _VALUES,
        "test_a_good_value",
        "test_a_profile_in_both_lists_is_refused",
        "test_no_more_profiles_than_the_limit",
    ),
    "profiles_no_value": _of(
        _VALUES, "test_a_good_value", "test_a_profile_in_both_lists_is_refused"
    ),
    "bridge_controller": _of(_BRIDGE, "test_success") + _TAKEN_OR_REFUSED,
    "ruri_pvar": _of(_FUNCTIONS, "test_ruri_pvar_gives_the_request_uri"),
    "ka_timer": _of(_KEEPALIVE, "test_timer_zero_is_off"),
    "ka_interval": _of(_KEEPALIVE, "test_phones_that_answer_are_asked_again_and_again"),
    "ka_failed_limit": _of(
        _SIP_KEEPALIVE,
        "test_a_silent_phone_ends_the_call",
        "test_phones_that_answer_keep_their_call",
    )
    + _of(
        _KEEPALIVE,
        "test_a_silent_phone_ends_the_call",
        "test_a_phone_that_does_not_know_the_call_ends_it",
        "test_any_other_answer_is_a_sign_of_life",
        "test_failures_must_follow_one_another",
    ),
    "ka_sides": _of(_KEEPALIVE, "test_who_is_asked"),
    "max_dialogs": _of(_SIP_SETTINGS, "test_too_many_dialogs"),
    "script": _of(
        _VALUES,
        "test_a_script_is_found_beside_the_configuration",
        "test_a_script_that_is_no_file",
    ),
}

_ROW = _of(_RESTRICTIONS, "test_a_function_obeys_its_row")

_FUNCTION = {
    "set_dlg_profile": _of(
        _PROFILES,
        "test_profiles_of_a_dialog",
        "test_profiles_before_the_dialog_exists_wait_for_it",
        "test_a_value_for_a_profile_without_values_is_silently_discarded",
    ),
    "unset_dlg_profile": _of(_PROFILES, "test_profiles_can_be_left_in_the_other_routes")
    + _of(_RESTRICTIONS, "test_the_manual_has_unset_dlg_profile_outside_of_the_request_route"),
    "is_in_profile": _of(
        _PROFILES,
        "test_profiles_of_a_dialog",
        "test_a_value_for_a_profile_without_values_is_silently_discarded",
    ),
    "get_profile_size": _of(_PROFILES, "test_get_profile_size_stores_what_it_returns"),
    "dlg_isflagset": _of(_FUNCTIONS, "test_flags_of_a_dialog", "test_a_dialog_flag_is_0_to_31"),
    "dlg_setflag": _of(
        _FUNCTIONS,
        "test_flags_of_a_dialog",
        "test_flags_before_the_dialog_exists_wait_for_it",
    ),
    "dlg_resetflag": _of(_FUNCTIONS, "test_flags_of_a_dialog"),
    "dlg_terminate": _of(
        _FUNCTIONS, "test_dlg_terminate", "test_dlg_terminate_with_what_it_cannot_take"
    ),
    "dlg_refer": _of(_FUNCTIONS, "test_dlg_refer"),
    "dlg_manage": _of(
        _FUNCTIONS,
        "test_dlg_manage_makes_the_dialog_of_an_initial_invite_once",
        "test_dlg_manage_finds_the_dialog_of_a_sequential_request",
        "test_dlg_manage_when_no_dialog_can_be_made",
    ),
    "dlg_bridge": _of(_FUNCTIONS, "test_dlg_bridge"),
    "dlg_get": _of(
        _FUNCTIONS,
        "test_dlg_get_chooses_another_dialog_for_this_run_alone",
        "test_dlg_get_without_such_a_dialog_changes_nothing",
    ),
    "is_known_dlg": _of(_FUNCTIONS, "test_is_known_dlg"),
    "dlg_set_timeout": _of(_FUNCTIONS, "test_dlg_set_timeout"),
    "dlg_set_property": _of(
        _FUNCTIONS,
        "test_dlg_set_property",
        "test_dlg_set_property_before_the_dialog_exists",
    ),
    "set_var": _of(_FUNCTIONS, "test_variables"),
    "get_var": _of(_FUNCTIONS, "test_variables"),
    "t_relay": _of(_MESSAGE, "test_relay") + _of(_LATER, "test_a_failure_is_tried_elsewhere"),
    "append_branch": _of(_MESSAGE, "test_branches_and_the_next_hop", "test_branches_have_a_limit")
    + _of(_ROUTES, "test_appended_branches_are_all_that_is_called"),
    "serial": _of(_MESSAGE, "test_how_branches_fork"),
    "parallel": _of(_MESSAGE, "test_how_branches_fork"),
    "send_reply": _of(_MESSAGE, "test_replies", "test_a_provisional_reply_decides_nothing"),
    "set_destination": _of(_MESSAGE, "test_branches_and_the_next_hop")
    + _of(_ROUTES, "test_a_destination_needs_no_routes"),
    "append_hf": _of(
        _MESSAGE,
        "test_headers_are_added_and_removed",
        "test_what_the_proxy_owns_is_not_the_scripts",
    ),
    "append_to_reply": _of(_MESSAGE, "test_replies"),
    "remove_hf": _of(_MESSAGE, "test_headers_are_added_and_removed"),
    "record_route": _of(_MESSAGE, "test_record_route_with_parameters"),
    "loose_route": _of(_MESSAGE, "test_loose_route_is_a_sequential_request_that_came_by_our_route"),
    "t_check_status": _of(_MESSAGE, "test_t_check_status_is_a_regular_expression"),
    "drop": _of(_MESSAGE, "test_drop")
    + _of(_LATER, "test_replies_pass_unless_a_provisional_one_is_dropped"),
    "setflag": _of(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
    "resetflag": _of(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
    "isflagset": _of(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
}

_STATISTICS = dict.fromkeys(
    ("active_dialogs", "early_dialogs", "processed_dialogs", "expired_dialogs", "failed_dialogs"),
    _of(_RECOUNT, "test_five_thousand_random_calls")
    + _of(_DISPATCHER, "test_statistics_of_the_manual_answer_under_both_module_names"),
)

_MI_COMMANDS = {
    "dlg_list": _of(_SIP_MI, "test_empty_table", "test_early_call", "test_confirmed_call")
    + _of(_MI, "test_replies_are_those_of_ims_dialog"),
    "dlg_terminate_dlg": _of(_SIP_MI, "test_early_call_ended", "test_wrong_tags")
    + _of(_SIP_KILLS, "test_answered"),
}

_RPC_COMMANDS = {
    "dlg.list": _of(
        _HTTP,
        "test_a_call_is_listed_looked_up_and_ended",
        "test_an_empty_table_is_an_empty_array",
    ),
    "dlg.dlg_list": _of(_HTTP, "test_a_call_is_listed_looked_up_and_ended")
    + _of(_DISPATCHER, "test_what_is_not_found_is_an_error_in_mi_and_an_empty_result_in_rpc"),
    "dlg.end_dlg": _of(_SIP_KILLS, "test_http_by_number")
    + _of(
        _DISPATCHER,
        "test_end_dlg_takes_numbers_and_digits",
        "test_end_dlg_has_one_answer_to_bad_parameters",
    ),
}

_REQUEST_URI = _of(_PV_SIP, "test_of_a_request", "test_the_request_uri_and_its_parts_can_be_set")
_OF_A_REPLY = _of(_PV_SIP, "test_of_a_reply")
_OF_A_REQUEST = _of(_PV_SIP, "test_of_a_request")

_OF_THE_MESSAGE = (
    *("$ci", "$cs", "$fu", "$fU", "$fd", "$fn", "$ft", "$tu", "$tU", "$td", "$tn", "$tt"),
    *("$rm", "$si", "$sp", "$ua", "$hdr(name)"),
)

_VARIABLES = {
    "$DLG_count": _of(_PV_DIALOG, "test_dlg_count_is_the_number_of_dialogs_that_are_alive"),
    "$DLG_status": _of(_PV_DIALOG, "test_dlg_status_is_the_state_number"),
    "$DLG_lifetime": _of(_PV_DIALOG, "test_dlg_lifetime_counts_from_the_answer_to_the_end"),
    "$dlg(...)": _of(
        _PV_DIALOG,
        "test_every_attribute_of_dlg",
        "test_attributes_are_unset_without_a_dialog_and_where_nothing_is_known",
        "test_the_leg_is_that_of_the_message",
    ),
    "$dlg_ctx(...)": _of(
        _PV_DIALOG,
        "test_the_context_before_there_is_a_dialog",
        "test_the_context_of_a_dialog_changes_the_dialog",
        "test_the_direction_is_that_of_the_request",
    ),
    "$dlg_var(key)": _of(
        _PV_DIALOG,
        "test_variables_stay_with_the_dialog",
        "test_variables_have_limits",
    ),
    **dict.fromkeys(_OF_THE_MESSAGE, _OF_A_REQUEST),
    **dict.fromkeys(("$ru", "$rU", "$rd"), _REQUEST_URI),
    "$du": _of(_PV_SIP, "test_the_destination_can_be_set_and_forgotten"),
    "$rs": _OF_A_REPLY,
    "$rr": _OF_A_REPLY,
    "$avp(name)": _of(
        _PV_SIP,
        "test_avps_keep_text_and_numbers_under_either_spelling",
        "test_avps_and_variables_are_two_things_and_last_for_the_transaction",
    ),
    "$var(name)": _of(
        _PV_SIP, "test_avps_and_variables_are_two_things_and_last_for_the_transaction"
    ),
}

_API: dict[str, tuple[str, ...]] = {}
_CALLBACKS: dict[str, tuple[str, ...]] = {}

PROOFS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        Kind.PARAMETER: _PARAMETERS,
        Kind.FUNCTION: {name: tests + _ROW for name, tests in _FUNCTION.items()},
        Kind.STATISTIC: _STATISTICS,
        Kind.MI: _MI_COMMANDS,
        Kind.RPC: _RPC_COMMANDS,
        Kind.VARIABLE: _VARIABLES,
        Kind.API: _API,
        Kind.CALLBACK: _CALLBACKS,
    }
)
"""Node ids by kind and name; what stands here under no entry's name proves nothing."""
