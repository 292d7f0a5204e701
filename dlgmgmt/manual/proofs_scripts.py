"""Which tests prove what the manual says of script functions and pseudo-variables."""

from __future__ import annotations

from dlgmgmt.manual.entry import node_ids

_REFER = "tests/unit/sip/test_refer.py"
_CORE_PROFILES = "tests/unit/dialog/test_profiles.py"
_FUNCTIONS = "tests/unit/routing/test_dialog_functions.py"
_PROFILES = "tests/unit/routing/test_profiles.py"
_MESSAGE = "tests/unit/routing/test_message.py"
_RESTRICTIONS = "tests/unit/routing/test_restrictions.py"
_ROUTES = "tests/unit/routing/test_routes.py"
_LATER = "tests/unit/routing/test_routes_later.py"
_PV_DIALOG = "tests/unit/routing/test_pv_dialog.py"
_PV_SIP = "tests/unit/routing/test_pv_sip.py"
_SIP_SCRIPTS = "tests/sip/test_script_functions.py"
_SIP_BRIDGES = "tests/sip/test_bridge_refer.py"

_ROW = node_ids(_RESTRICTIONS, "test_a_function_obeys_its_row")

_FUNCTION = {
    "set_dlg_profile": node_ids(_SIP_SCRIPTS, "test_set_dlg_profile")
    + node_ids(
        _PROFILES,
        "test_profiles_of_a_dialog",
        "test_profiles_before_the_dialog_exists_wait_for_it",
        "test_a_value_for_a_profile_without_values_is_silently_discarded",
    )
    + node_ids(
        _CORE_PROFILES,
        "test_each_insertion_counts_once_and_is_taken_back_once",
        "test_whatever_ends_a_dialog_it_leaves_its_profiles_at_once",
    ),
    "unset_dlg_profile": node_ids(_SIP_SCRIPTS, "test_unset_dlg_profile_and_is_in_profile")
    + node_ids(_PROFILES, "test_profiles_can_be_left_in_the_other_routes")
    + node_ids(_RESTRICTIONS, "test_the_manual_has_unset_dlg_profile_outside_of_the_request_route"),
    "is_in_profile": node_ids(_SIP_SCRIPTS, "test_unset_dlg_profile_and_is_in_profile")
    + node_ids(
        _PROFILES,
        "test_profiles_of_a_dialog",
        "test_a_value_for_a_profile_without_values_is_silently_discarded",
    ),
    "get_profile_size": node_ids(_SIP_SCRIPTS, "test_get_profile_size_limits_calls")
    + node_ids(_PROFILES, "test_get_profile_size_stores_what_it_returns"),
    "dlg_isflagset": node_ids(_SIP_SCRIPTS, "test_dlg_flags")
    + node_ids(_FUNCTIONS, "test_flags_of_a_dialog", "test_a_dialog_flag_is_0_to_31"),
    "dlg_setflag": node_ids(_SIP_SCRIPTS, "test_dlg_flags")
    + node_ids(
        _FUNCTIONS,
        "test_flags_of_a_dialog",
        "test_flags_before_the_dialog_exists_wait_for_it",
    ),
    "dlg_resetflag": node_ids(_SIP_SCRIPTS, "test_dlg_flags")
    + node_ids(_FUNCTIONS, "test_flags_of_a_dialog"),
    "dlg_terminate": node_ids(_SIP_SCRIPTS, "test_dlg_terminate_from_an_event_route")
    + node_ids(_FUNCTIONS, "test_dlg_terminate", "test_dlg_terminate_with_what_it_cannot_take"),
    "dlg_refer": node_ids(
        _SIP_BRIDGES,
        "test_sipp_is_referred",
        "test_the_referred_side_gets_through",
        "test_the_call_goes_on",
        "test_a_call_that_rings_is_not_referred",
    )
    + node_ids(_REFER, "test_a_phone_that_refuses", "test_a_phone_that_is_silent")
    + node_ids(_FUNCTIONS, "test_dlg_refer"),
    "dlg_manage": node_ids(
        _SIP_SCRIPTS,
        "test_dlg_manage_and_is_known_dlg",
        "test_a_call_that_is_not_managed_is_not_listed",
    )
    + node_ids(
        _FUNCTIONS,
        "test_dlg_manage_makes_the_dialog_of_an_initial_invite_once",
        "test_dlg_manage_finds_the_dialog_of_a_sequential_request",
        "test_dlg_manage_when_no_dialog_can_be_made",
    ),
    "dlg_bridge": node_ids(
        _SIP_BRIDGES,
        "test_a_bridge_to_sipp",
        "test_a_bridge_from_end_to_end",
        "test_the_first_party_refuses",
        "test_the_first_party_is_silent",
    )
    + node_ids(_FUNCTIONS, "test_dlg_bridge"),
    "dlg_get": node_ids(_SIP_SCRIPTS, "test_dlg_get_finds_another_call")
    + node_ids(
        _FUNCTIONS,
        "test_dlg_get_chooses_another_dialog_for_this_run_alone",
        "test_dlg_get_without_such_a_dialog_changes_nothing",
    ),
    "is_known_dlg": node_ids(_SIP_SCRIPTS, "test_dlg_manage_and_is_known_dlg")
    + node_ids(_FUNCTIONS, "test_is_known_dlg"),
    "dlg_set_timeout": node_ids(_SIP_SCRIPTS, "test_timeout_route_and_event_route")
    + node_ids(_FUNCTIONS, "test_dlg_set_timeout"),
    "dlg_set_property": node_ids(
        _FUNCTIONS,
        "test_dlg_set_property",
        "test_dlg_set_property_before_the_dialog_exists",
    ),
    "set_var": node_ids(_SIP_SCRIPTS, "test_failure_route_tries_another_phone")
    + node_ids(_FUNCTIONS, "test_variables"),
    "get_var": node_ids(_FUNCTIONS, "test_variables"),
    "t_relay": node_ids(_SIP_SCRIPTS, "test_failure_route_tries_another_phone")
    + node_ids(_MESSAGE, "test_relay")
    + node_ids(_LATER, "test_a_failure_is_tried_elsewhere"),
    "append_branch": node_ids(_SIP_SCRIPTS, "test_append_branch")
    + node_ids(_MESSAGE, "test_branches_and_the_next_hop", "test_branches_have_a_limit")
    + node_ids(_ROUTES, "test_appended_branches_are_all_that_is_called"),
    "serial": node_ids(_SIP_SCRIPTS, "test_append_branch")
    + node_ids(_MESSAGE, "test_how_branches_fork"),
    "parallel": node_ids(_SIP_SCRIPTS, "test_append_branch")
    + node_ids(_MESSAGE, "test_how_branches_fork"),
    "send_reply": node_ids(_SIP_SCRIPTS, "test_send_reply")
    + node_ids(_MESSAGE, "test_replies", "test_a_provisional_reply_decides_nothing"),
    "set_destination": node_ids(_SIP_SCRIPTS, "test_set_destination_and_ruri")
    + node_ids(_MESSAGE, "test_branches_and_the_next_hop")
    + node_ids(_ROUTES, "test_a_destination_needs_no_routes"),
    "append_hf": node_ids(_SIP_SCRIPTS, "test_headers_of_requests_and_replies")
    + node_ids(
        _MESSAGE,
        "test_headers_are_added_and_removed",
        "test_what_the_proxy_owns_is_not_the_scripts",
    ),
    "append_to_reply": node_ids(_SIP_SCRIPTS, "test_send_reply")
    + node_ids(_MESSAGE, "test_replies"),
    "remove_hf": node_ids(_SIP_SCRIPTS, "test_headers_of_requests_and_replies")
    + node_ids(_MESSAGE, "test_headers_are_added_and_removed"),
    "record_route": node_ids(_SIP_SCRIPTS, "test_a_call_that_is_not_managed_is_not_listed")
    + node_ids(_MESSAGE, "test_record_route_with_parameters"),
    "loose_route": node_ids(_SIP_SCRIPTS, "test_dlg_manage_and_is_known_dlg")
    + node_ids(_MESSAGE, "test_loose_route_is_a_sequential_request_that_came_by_our_route"),
    "t_check_status": node_ids(_SIP_SCRIPTS, "test_failure_route_tries_another_phone")
    + node_ids(_MESSAGE, "test_t_check_status_is_a_regular_expression"),
    "drop": node_ids(_SIP_SCRIPTS, "test_drop_of_a_provisional")
    + node_ids(_MESSAGE, "test_drop")
    + node_ids(_LATER, "test_replies_pass_unless_a_provisional_one_is_dropped"),
    "setflag": node_ids(_SIP_SCRIPTS, "test_dlg_flag_and_ruri_pvar")
    + node_ids(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
    "resetflag": node_ids(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
    "isflagset": node_ids(_MESSAGE, "test_script_flags_belong_to_the_transaction"),
}

FUNCTIONS = {name: tests + _ROW for name, tests in _FUNCTION.items()}

_REQUEST_URI = node_ids(
    _PV_SIP, "test_of_a_request", "test_the_request_uri_and_its_parts_can_be_set"
)
_OF_A_REPLY = node_ids(_PV_SIP, "test_of_a_reply")
_OF_A_REQUEST = node_ids(_PV_SIP, "test_of_a_request")

_OF_THE_MESSAGE = (
    *("$ci", "$cs", "$fu", "$fU", "$fd", "$fn", "$ft", "$tu", "$tU", "$td", "$tn", "$tt"),
    *("$rm", "$si", "$sp", "$ua", "$hdr(name)"),
)

VARIABLES = {
    "$DLG_count": node_ids(_SIP_SCRIPTS, "test_pseudo_variables_of_a_real_call")
    + node_ids(_PV_DIALOG, "test_dlg_count_is_the_number_of_dialogs_that_are_alive"),
    "$DLG_status": node_ids(_SIP_SCRIPTS, "test_pseudo_variables_of_a_real_call")
    + node_ids(_PV_DIALOG, "test_dlg_status_is_the_state_number"),
    "$DLG_lifetime": node_ids(_PV_DIALOG, "test_dlg_lifetime_counts_from_the_answer_to_the_end"),
    "$dlg(...)": node_ids(_SIP_SCRIPTS, "test_pseudo_variables_of_a_real_call")
    + node_ids(
        _PV_DIALOG,
        "test_every_attribute_of_dlg",
        "test_attributes_are_unset_without_a_dialog_and_where_nothing_is_known",
        "test_the_leg_is_that_of_the_message",
    ),
    "$dlg_ctx(...)": node_ids(
        _SIP_SCRIPTS,
        "test_timeout_route_and_event_route",
        "test_pseudo_variables_of_a_real_call",
    )
    + node_ids(
        _PV_DIALOG,
        "test_the_context_before_there_is_a_dialog",
        "test_the_context_of_a_dialog_changes_the_dialog",
        "test_the_direction_is_that_of_the_request",
    ),
    "$dlg_var(key)": node_ids(_SIP_SCRIPTS, "test_variables_follow_the_dialog")
    + node_ids(
        _PV_DIALOG,
        "test_variables_stay_with_the_dialog",
        "test_variables_have_limits",
    ),
    **dict.fromkeys(_OF_THE_MESSAGE, _OF_A_REQUEST),
    **dict.fromkeys(("$ru", "$rU", "$rd"), _REQUEST_URI),
    "$du": node_ids(_PV_SIP, "test_the_destination_can_be_set_and_forgotten"),
    "$rs": _OF_A_REPLY,
    "$rr": _OF_A_REPLY,
    "$avp(name)": node_ids(_SIP_SCRIPTS, "test_variables_follow_the_dialog")
    + node_ids(
        _PV_SIP,
        "test_avps_keep_text_and_numbers_under_either_spelling",
        "test_avps_and_variables_are_two_things_and_last_for_the_transaction",
    ),
    "$var(name)": node_ids(
        _PV_SIP, "test_avps_and_variables_are_two_things_and_last_for_the_transaction"
    ),
}
