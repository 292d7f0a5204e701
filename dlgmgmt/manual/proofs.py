"""Which tests prove what the manual says: pytest node ids, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dlgmgmt.manual.entry import Kind, node_ids
from dlgmgmt.manual.proofs_parameters import PARAMETERS
from dlgmgmt.manual.proofs_scripts import FUNCTIONS, VARIABLES

_RECOUNT = "tests/unit/dialog/test_recount.py"
_CORE_CALLBACKS = "tests/unit/dialog/test_callbacks.py"
_WIRE_CALLBACKS = "tests/unit/sip/test_callbacks.py"
_API = "tests/unit/test_api.py"
_LISTING = "tests/unit/commands/test_listing.py"
_CALLS = "tests/unit/commands/test_calls.py"
_FORMS = "tests/unit/interfaces/test_listing_forms.py"
_MI_MODULE = "tests/unit/interfaces/test_mi_dialog_module.py"
_SIP_COMMANDS = "tests/sip/test_dialog_commands.py"
_SIP_RPC = "tests/sip/test_replay_rpc.py"
_DISPATCHER = "tests/unit/commands/test_dispatcher.py"
_HTTP = "tests/unit/interfaces/test_http.py"
_MI = "tests/unit/interfaces/test_mi_binding.py"
_SIP_MI = "tests/sip/test_replay_mi.py"
_SIP_KILLS = "tests/sip/test_kills.py"
_SIP_SCRIPTS = "tests/sip/test_script_functions.py"

_STATISTICS = dict.fromkeys(
    ("active_dialogs", "early_dialogs", "processed_dialogs", "expired_dialogs", "failed_dialogs"),
    node_ids(_RECOUNT, "test_five_thousand_random_calls")
    + node_ids("tests/sip/test_recount.py", "test_five_thousand_calls")
    + node_ids("tests/sip/test_statistics.py", "test_the_statistics_equal_a_recount_of_the_table")
    + node_ids(_DISPATCHER, "test_statistics_of_the_manual_answer_under_both_module_names"),
)

_MI_COMMANDS = {
    "dlg_list": node_ids(_SIP_MI, "test_empty_table", "test_early_call", "test_confirmed_call")
    + node_ids(_MI, "test_replies_are_those_of_ims_dialog"),
    "dlg_list_ctx": node_ids(_SIP_COMMANDS, "test_context_of_a_script")
    + node_ids(_MI_MODULE, "test_dialogs_are_the_recorded_ones")
    + node_ids(
        _LISTING,
        "test_every_dialog_with_its_context",
        "test_some_dialogs_with_their_context",
        "test_context_of_what_is_not_there",
    ),
    "dlg_end_dlg": node_ids(_SIP_COMMANDS, "test_mi_ends_a_call_by_its_numbers")
    + node_ids(_MI_MODULE, "test_end_dlg")
    + node_ids(_CALLS, "test_every_name_of_end_dlg_ends_it", "test_mi_end_dlg_refusals"),
    "profile_get_size": node_ids(_SIP_COMMANDS, "test_profiles_of_a_script")
    + node_ids(_MI_MODULE, "test_replies_are_the_recorded_ones")
    + node_ids(_LISTING, "test_profiles", "test_a_profile_that_is_not_configured"),
    "profile_list_dlgs": node_ids(_SIP_COMMANDS, "test_profiles_of_a_script")
    + node_ids(_MI_MODULE, "test_dialogs_are_the_recorded_ones")
    + node_ids(_LISTING, "test_profiles", "test_a_profile_that_is_not_configured"),
    "dlg_bridge": node_ids(_SIP_COMMANDS, "test_a_bridge_that_is_done")
    + node_ids(_CALLS, "test_bridges", "test_addresses_that_cannot_be_bridged"),
    "dlg_terminate_dlg": node_ids(_SIP_MI, "test_early_call_ended", "test_wrong_tags")
    + node_ids(_SIP_KILLS, "test_answered"),
}

_RPC_COMMANDS = {
    "dlg.list": node_ids(
        _HTTP,
        "test_a_call_is_listed_looked_up_and_ended",
        "test_an_empty_table_is_an_empty_array",
    ),
    "dlg.list_ctx": node_ids(_SIP_COMMANDS, "test_context_of_a_script")
    + node_ids(_SIP_RPC, "test_two_calls")
    + node_ids(_LISTING, "test_every_dialog_with_its_context")
    + node_ids(_FORMS, "test_context_is_the_last_member"),
    "dlg.dlg_list_ctx": node_ids(_SIP_COMMANDS, "test_context_of_a_script")
    + node_ids(_SIP_RPC, "test_two_calls")
    + node_ids(
        _LISTING, "test_some_dialogs_with_their_context", "test_context_of_what_is_not_there"
    ),
    "dlg.profile_get_size": node_ids(_SIP_COMMANDS, "test_profiles_of_a_script")
    + node_ids(_SIP_RPC, "test_two_calls")
    + node_ids(_LISTING, "test_profiles", "test_a_profile_that_is_not_configured"),
    "dlg.profile_list": node_ids(_SIP_COMMANDS, "test_profiles_of_a_script")
    + node_ids(_SIP_RPC, "test_two_calls")
    + node_ids(_LISTING, "test_profiles", "test_a_profile_that_is_not_configured"),
    "dlg.bridge_dlg": node_ids(
        _SIP_COMMANDS, "test_a_bridge_that_is_done", "test_a_bridge_that_fails"
    )
    + node_ids(_CALLS, "test_bridges", "test_too_many_bridges"),
    "dlg.dlg_list": node_ids(_HTTP, "test_a_call_is_listed_looked_up_and_ended")
    + node_ids(_DISPATCHER, "test_what_is_not_found_is_an_error_in_mi_and_an_empty_result_in_rpc"),
    "dlg.end_dlg": node_ids(_SIP_KILLS, "test_http_by_number")
    + node_ids(
        _DISPATCHER,
        "test_end_dlg_takes_numbers_and_digits",
        "test_end_dlg_has_one_answer_to_bad_parameters",
    ),
}

_API_CALLS = {
    "register_dlgcb": node_ids(_API, "test_register_dlgcb")
    + node_ids(_SIP_SCRIPTS, "test_callbacks_of_the_developer_api")
    + node_ids(
        _CORE_CALLBACKS,
        "test_one_that_raises_is_logged_and_the_rest_run",
        "test_types_that_do_not_go_together",
        "test_limits",
        "test_a_parameter_is_freed_once_when_the_dialog_leaves",
        "test_a_dialog_that_has_left_already",
    ),
    "terminate_dlg": node_ids(
        _API,
        "test_terminate_dlg_ends_an_answered_call",
        "test_terminate_dlg_ends_a_ringing_call",
        "test_terminate_dlg_of_what_is_not_there",
    ),
    "lookup_terminate_dlg": node_ids(_API, "test_lookup_terminate_dlg"),
    "set_dlg_var": node_ids(_API, "test_variables")
    + node_ids(_SIP_SCRIPTS, "test_callbacks_of_the_developer_api"),
    "get_dlg_var": node_ids(_API, "test_variables"),
    "get_current_dialog": node_ids(_API, "test_get_current_dialog"),
}

_OF_AN_ANSWERED_CALL = node_ids(_WIRE_CALLBACKS, "test_an_answered_call")

_CALLBACKS = {
    "DLGCB_CREATED": node_ids(
        _CORE_CALLBACKS, "test_created_is_told_of_every_new_dialog_and_registers_the_others"
    )
    + _OF_AN_ANSWERED_CALL,
    "DLGCB_FAILED": node_ids(
        _WIRE_CALLBACKS,
        "test_a_refused_call",
        "test_a_cancelled_call",
        "test_nobody_answers_at_all",
    ),
    "DLGCB_CONFIRMED_NA": _OF_AN_ANSWERED_CALL,
    "DLGCB_CONFIRMED": _OF_AN_ANSWERED_CALL + node_ids(_CORE_CALLBACKS, "test_an_answered_call"),
    "DLGCB_REQ_WITHIN": _OF_AN_ANSWERED_CALL
    + node_ids(_CORE_CALLBACKS, "test_a_bye_on_one_leg_of_two_is_a_request_within"),
    "DLGCB_TERMINATED": _OF_AN_ANSWERED_CALL
    + node_ids(
        _WIRE_CALLBACKS,
        "test_an_operator_ends_the_call",
        "test_an_operator_ends_the_call_while_it_rings",
    ),
    "DLGCB_TERMINATED_CONFIRMED": _OF_AN_ANSWERED_CALL
    + node_ids(_WIRE_CALLBACKS, "test_an_operator_ends_the_call"),
    "DLGCB_EXPIRED": node_ids(_WIRE_CALLBACKS, "test_the_timeout"),
    "DLGCB_EARLY": _OF_AN_ANSWERED_CALL,
    "DLGCB_RESPONSE_FWDED": _OF_AN_ANSWERED_CALL
    + node_ids(_WIRE_CALLBACKS, "test_a_refused_call", "test_nobody_answers_at_all"),
    "DLGCB_RESPONSE_WITHIN": _OF_AN_ANSWERED_CALL,
    "DLGCB_MI_CONTEXT": node_ids(_CORE_CALLBACKS, "test_mi_context"),
    "DLGCB_SPIRALED": node_ids(_WIRE_CALLBACKS, "test_a_spiral"),
    "DLGCB_LOADED": node_ids(_CORE_CALLBACKS, "test_a_dialog_that_was_stored_is_told"),
}

PROOFS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        Kind.PARAMETER: PARAMETERS,
        Kind.FUNCTION: FUNCTIONS,
        Kind.STATISTIC: _STATISTICS,
        Kind.MI: _MI_COMMANDS,
        Kind.RPC: _RPC_COMMANDS,
        Kind.VARIABLE: VARIABLES,
        Kind.API: _API_CALLS,
        Kind.CALLBACK: _CALLBACKS,
    }
)
"""Node ids by kind and name; what stands here under no entry's name proves nothing."""
