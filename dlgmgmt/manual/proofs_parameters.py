"""Which tests prove what the manual says of parameters."""

from __future__ import annotations

from dlgmgmt.manual.entry import node_ids

_CONFIG = "tests/unit/test_config.py"
_VALUES = "tests/unit/config/test_parameters.py"
_TABLE = "tests/unit/dialog/test_table.py"
_TERMINATION = "tests/unit/dialog/test_termination.py"
_BRIDGE = "tests/unit/sip/test_bridge.py"
_TIMEOUTS = "tests/unit/dialog/test_timeouts.py"
_RR_PARAM = "tests/unit/sip/test_rr_param.py"
_INITIAL = "tests/unit/routing/test_initial_callbacks.py"
_RUNNER = "tests/unit/routing/test_runner.py"
_RUNNER_LIMITS = "tests/unit/routing/test_runner_limits.py"
_ENGINE = "tests/unit/routing/test_engine.py"
_LOADING = "tests/unit/routing/test_loading.py"
_KEEPALIVE = "tests/unit/sip/test_keepalive.py"
_FUNCTIONS = "tests/unit/routing/test_dialog_functions.py"
_OPENING = "tests/unit/routing/test_routes_dialog.py"
_DISPATCHER = "tests/unit/commands/test_dispatcher.py"
_SESSION_TIMERS = "tests/unit/sip/test_session_timers.py"
_SIP_KILLS = "tests/sip/test_kills.py"
_SIP_SETTINGS = "tests/sip/test_own_settings.py"
_SIP_KEEPALIVE = "tests/sip/test_keepalive.py"
_SIP_TIMEOUTS = "tests/sip/test_timeouts.py"
_SIP_SCRIPTS = "tests/sip/test_script_functions.py"
_SIP_FAULTS = "tests/sip/test_script_faults.py"
_SIP_BRIDGES = "tests/sip/test_bridge_refer.py"
_SIP_RELOAD = "tests/sip/test_reload.py"
_SIP_EXCHANGES = "tests/sip/test_exchanges.py"

_DATABASE = "tests/unit/config/test_database.py"
_MODES = "tests/db/test_daemon_modes.py"

_DATABASE_VALUES = node_ids(
    _DATABASE, "test_a_value_and_the_default", "test_a_wrong_value", "test_what_waits_for_a_restart"
)
_OF_DATABASE = (
    "db_commit_interval",
    "db_sync_confirm",
    "db_sync_timeout",
    "owner",
    "on_expired",
    "expired_rate",
    "while_loading",
    "connect_timeout",
    "stop_timeout",
    "retry_max",
    "synchronous",
    "upgrade",
    "rescue_dir",
    "late_after",
    "answer_timeout",
)

_TAKEN_OR_REFUSED = node_ids(_VALUES, "test_a_good_value", "test_a_wrong_value")

PARAMETERS = {
    "enable_stats": node_ids(
        _DISPATCHER, "test_without_enable_stats_the_groups_of_dialogs_are_not_there"
    )
    + _TAKEN_OR_REFUSED,
    "hash_size": node_ids(_CONFIG, "test_hash_size_is_rounded_down_with_a_warning")
    + node_ids(_TABLE, "test_hash_size_must_be_a_power_of_two"),
    "rr_param": node_ids(
        _RR_PARAM,
        "test_it_tells_dialogs_apart_that_have_the_same_tags",
        "test_under_another_name_it_says_nothing",
    ),
    "dlg_flag": node_ids(_SIP_SCRIPTS, "test_dlg_flag_and_ruri_pvar")
    + node_ids(
        _OPENING,
        "test_dlg_flag_makes_a_relayed_invite_a_dialog",
        "test_without_that_flag_there_is_none",
    ),
    "timeout_avp": node_ids(_SIP_SCRIPTS, "test_timeout_avp_ends_the_call_within_a_second")
    + node_ids(
        _OPENING,
        "test_timeout_avp_at_the_creation",
        "test_timeout_avp_in_a_sequential_request",
        "test_a_timeout_avp_that_is_no_number_of_seconds",
    ),
    "default_timeout": node_ids(
        _SIP_TIMEOUTS,
        "test_default_timeout",
        "test_a_request_within_the_call_restarts_the_timeout",
    )
    + node_ids(_TERMINATION, "test_the_timeout_ends_the_dialog_once"),
    "dlg_extra_hdrs": node_ids(_SIP_KILLS, "test_answered")
    + node_ids(_CONFIG, "test_extra_headers_are_taken_as_header_lines"),
    "detect_spirals": node_ids(_SIP_EXCHANGES, "test_a_spiral_joins_its_dialog")
    + node_ids(_TABLE, "test_spirals_can_be_turned_off"),
    "dlg_match_mode": node_ids(_VALUES, "test_a_match_mode_is_deprecated"),
    "db_url": node_ids(_VALUES, "test_why_a_value_is_refused_is_told")
    + node_ids(_DATABASE, "test_the_state_directory")
    + _TAKEN_OR_REFUSED,
    "db_mode": node_ids(_MODES, "test_sigterm_loses_nothing", "test_a_kill_in_mode_1")
    + _TAKEN_OR_REFUSED,
    "db_update_period": node_ids(_DATABASE, "test_the_four_of_the_manual_are_used")
    + _TAKEN_OR_REFUSED,
    "db_fetch_rows": node_ids(_MODES, "test_sigterm_loses_nothing") + _TAKEN_OR_REFUSED,
    **dict.fromkeys(_OF_DATABASE, _DATABASE_VALUES),
    "profiles_with_value": node_ids(_SIP_SCRIPTS, "test_set_dlg_profile")
    + node_ids(
        _VALUES,
        "test_a_good_value",
        "test_a_profile_in_both_lists_is_refused",
        "test_no_more_profiles_than_the_limit",
    ),
    "profiles_no_value": node_ids(_SIP_SCRIPTS, "test_set_dlg_profile")
    + node_ids(_VALUES, "test_a_good_value", "test_a_profile_in_both_lists_is_refused"),
    "bridge_controller": node_ids(_SIP_BRIDGES, "test_a_bridge_to_sipp")
    + node_ids(_BRIDGE, "test_success")
    + _TAKEN_OR_REFUSED,
    "initial_cbs_inscript": node_ids(
        _INITIAL,
        "test_within_dlg_manage_or_after_the_script",
        "test_a_call_that_dlg_flag_tracks_is_told_after_the_script",
    ),
    "send_bye": node_ids(_SIP_TIMEOUTS, "test_without_send_bye_the_call_just_leaves_the_list")
    + node_ids(
        _TIMEOUTS,
        "test_without_send_bye_the_dialog_just_leaves",
        "test_without_send_bye_a_dialog_may_still_be_marked_for_it",
    ),
    "early_timeout": node_ids(_SIP_TIMEOUTS, "test_early_timeout")
    + node_ids(_TIMEOUTS, "test_a_call_that_nobody_answers"),
    "noack_timeout": node_ids(_SIP_TIMEOUTS, "test_noack_timeout")
    + node_ids(
        _TIMEOUTS,
        "test_an_answer_whose_ack_never_comes",
        "test_one_leg_of_two_without_its_ack_is_ended_and_the_call_goes_on",
    ),
    "end_timeout": node_ids(
        _TIMEOUTS,
        "test_a_deleted_dialog_that_is_held_leaves_all_the_same",
        "test_a_dialog_that_leaves_in_time_is_not_forced",
    ),
    "timeout_noreset": node_ids(
        _TIMEOUTS, "test_sequential_requests_start_it_anew_unless_it_is_to_be_left_alone"
    ),
    "session_timers": node_ids(
        _SESSION_TIMERS,
        "test_a_call_that_is_not_refreshed_ends_after_its_session",
        "test_session_timers_can_be_left_to_the_parties",
    ),
    "ruri_pvar": node_ids(_SIP_SCRIPTS, "test_dlg_flag_and_ruri_pvar")
    + node_ids(_FUNCTIONS, "test_ruri_pvar_gives_the_request_uri"),
    "ka_timer": node_ids(_KEEPALIVE, "test_timer_zero_is_off"),
    "ka_interval": node_ids(_KEEPALIVE, "test_phones_that_answer_are_asked_again_and_again"),
    "ka_failed_limit": node_ids(
        _SIP_KEEPALIVE,
        "test_a_silent_phone_ends_the_call",
        "test_phones_that_answer_keep_their_call",
    )
    + node_ids(
        _KEEPALIVE,
        "test_a_silent_phone_ends_the_call",
        "test_a_phone_that_does_not_know_the_call_ends_it",
        "test_any_other_answer_is_a_sign_of_life",
        "test_failures_must_follow_one_another",
    ),
    "ka_sides": node_ids(_KEEPALIVE, "test_who_is_asked"),
    "max_dialogs": node_ids(_SIP_SETTINGS, "test_too_many_dialogs"),
    "script": node_ids(
        _SIP_FAULTS,
        "test_a_script_that_cannot_be_used_stops_the_start",
    )
    + node_ids(_SIP_RELOAD, "test_the_script_is_loaded_again_unless_it_is_broken")
    + node_ids(
        _VALUES,
        "test_a_script_is_found_beside_the_configuration",
        "test_a_script_that_is_no_file",
    ),
    "time_limit": node_ids(
        _SIP_FAULTS,
        "test_the_call_of_a_bad_run_is_answered_500",
        "test_other_calls_go_on_while_one_is_stuck",
    )
    + node_ids(_RUNNER, "test_a_blocked_run_is_given_up_and_its_queue_goes_on"),
    "workers": node_ids(
        _RUNNER,
        "test_workers_run_at_the_same_time",
        "test_runs_with_one_key_keep_their_order",
    ),
    "max_queue": node_ids(_RUNNER_LIMITS, "test_no_more_than_max_queue_wait")
    + node_ids(_ENGINE, "test_a_queue_that_is_full_is_answered_503"),
    "load_limit": node_ids(
        _LOADING,
        "test_a_script_that_does_not_end_is_refused_with_its_line",
        "test_mod_init_counts_too",
    ),
}
