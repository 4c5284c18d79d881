//! Which tests show which promise. A test holds the names against the sources.

/// One promise.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its number.
    pub number: u8,
    /// In a few words.
    pub what: &'static str,
    /// `FILE::TEST` each, the file as seen from the root of the repository.
    pub tests: &'static [&'static str],
    /// What is not shown, or how.
    pub remark: &'static str,
}

const fn promise(
    number: u8,
    what: &'static str,
    tests: &'static [&'static str],
    remark: &'static str,
) -> Promise {
    Promise { number, what, tests, remark }
}

/// The matrix of faults.
const MATRIX: &str = "and every row of the table above";

/// All of them.
pub const PROMISES: &[Promise] = &[
    promise(
        1,
        "Exact in health",
        &[
            "tests/fleet/exactness.rs::four_workers_on_1_and_10_and_10_000_keys_admit_exactly_what_they_may",
            "tests/fleet/exactness.rs::workers_that_do_not_share_their_windows_are_caught",
            "tests/fleet/mutants.rs::the_script_itself_passes_every_drive",
            "tests/replay/random.rs::random_traces_agree_with_the_model",
        ],
        MATRIX,
    ),
    promise(
        2,
        "No unjust denial, honest hints",
        &[
            "tests/fleet/hints.rs::whoever_waits_exactly_as_told_is_admitted_and_nobody_before",
            "tests/fleet/hints.rs::a_client_that_waits_for_retry_after_passes_the_gateway",
            "tests/fleet/mutants.rs::a_hint_that_is_wrong_is_caught",
        ],
        MATRIX,
    ),
    promise(
        3,
        "A request is charged at most once",
        &[
            "tests/faults/once.rs::a_reply_that_is_lost_leaves_one_charge_at_most",
            "tests/redis/cluster/once.rs::a_decision_whose_answer_is_lost_is_charged_once",
            "tests/redis/lanes.rs::a_flushed_script_is_sent_again_without_a_double_charge",
            "tests/fleet/mutants.rs::a_request_charged_wrongly_is_caught",
        ],
        MATRIX,
    ),
    promise(
        4,
        "Every decision ends on time",
        &[
            "tests/faults/single.rs::black_hole",
            "tests/faults/single.rs::stop",
            "tests/faults/single.rs::trickle",
            "tests/worker/outage.rs::unknown_keys_do_not_make_a_request_wait_longer_than_the_deadline",
            "tests/redis/connection.rs::a_handshake_that_stalls_costs_no_more_than_the_deadline",
        ],
        MATRIX,
    ),
    promise(
        5,
        "Failure is a policy, never a 500",
        &[
            "tests/worker/failure_policy.rs::whatever_redis_answers_a_client_meets_its_policy",
            "tests/worker/without_redis.rs::without_redis_every_policy_fails_in_its_own_way",
        ],
        MATRIX,
    ),
    promise(
        6,
        "Bounded over-admission while degraded",
        &[
            "tests/faults/single.rs::kill",
            "tests/faults/single.rs::refuse",
            "crates/local/src/tests/stand_in.rs::a_store_that_comes_and_goes_lets_no_more_pass_than_was_promised",
        ],
        MATRIX,
    ),
    promise(
        7,
        "Recovers alone, fast, calmly",
        &[
            "tests/faults/calm.rs::fifty_workers_come_back_without_a_stampede",
            "tests/worker/without_redis.rs::when_redis_comes_it_decides_within_a_second",
        ],
        MATRIX,
    ),
    promise(
        8,
        "A dead connection is dropped within 2 s",
        &["tests/faults/calm.rs::connections_that_are_dead_are_replaced_within_two_seconds"],
        "packets dropped by the kernel are not tested: that takes rights",
    ),
    promise(
        9,
        "Follows failover, READONLY never sticks",
        &[
            "tests/redis/sentinel.rs::a_failover_by_hand_is_followed",
            "tests/redis/sentinel.rs::a_failover_after_the_master_was_killed_is_followed",
            "tests/redis/sentinel.rs::a_failover_after_the_master_was_frozen_is_followed",
            "tests/faults/sentinel.rs::failover",
            "tests/faults/sentinel.rs::kill",
            "tests/faults/cluster.rs::failover",
            "tests/faults/single.rs::read_only",
        ],
        "",
    ),
    promise(
        10,
        "Restart and SCRIPT FLUSH are invisible",
        &[
            "tests/faults/single.rs::script_flush",
            "tests/redis/lanes.rs::a_flushed_script_is_sent_again_without_a_double_charge",
        ],
        "",
    ),
    promise(
        11,
        "Worker clocks do not matter",
        &[
            "tests/faults/skew.rs::workers_an_hour_apart_decide_as_one",
            "tests/tidy/clocks.rs::only_what_is_named_here_reads_the_systems_clock",
        ],
        "",
    ),
    promise(
        12,
        "The clock of Redis may step",
        &[
            "tests/faults/single.rs::clock_back",
            "tests/faults/single.rs::clock_forward",
            "tests/redis/script.rs::an_entry_of_the_future_is_stamped_now_by_the_first_denial_that_sees_it",
        ],
        "",
    ),
    promise(
        13,
        "Memory is bounded and cleans itself",
        &[
            "tests/faults/memory.rs::a_flood_of_denials_writes_nothing",
            "tests/faults/memory.rs::a_flood_of_identities_leaves_nothing_behind",
            "tests/redis/script.rs::both_keys_always_have_a_ttl_of_at_most_two_windows",
            "tests/redis/script.rs::an_identity_that_has_used_all_takes_at_most_1_600_bytes",
            "tests/fleet/denials.rs::a_flood_of_denials_writes_nothing_to_any_window",
        ],
        "what an identity takes with other limits: \"Bytes in Redis\" in docs/benchmarks.md",
    ),
    promise(
        14,
        "OOM and eviction are loud",
        &[
            "tests/faults/memory.rs::a_full_server_says_so_and_does_not_grow",
            "tests/faults/single.rs::out_of_memory",
            "tests/redis/script.rs::a_full_server_refuses_loudly_and_does_not_grow",
        ],
        "",
    ),
    promise(
        15,
        "Cluster-safe",
        &[
            "crates/redis/src/keyspace.rs::all_keys_of_any_identity_share_one_hash_tag",
            "tests/redis/cluster/moving.rs::slots_move_under_load_and_nothing_is_lost_or_admitted_twice",
            "tests/redis/cluster/moving.rs::a_request_follows_ask_to_the_node_that_has_its_keys",
            "tests/faults/cluster.rs::failover",
            "tests/faults/cluster.rs::kill",
        ],
        "",
    ),
    promise(
        16,
        "Identity cannot be forged",
        &[
            "tests/worker/forged.rs::nothing_that_a_stranger_sends_opens_a_second_bucket",
            "tests/worker/forged.rs::behind_a_proxy_the_rightmost_stranger_counts",
            "crates/server/src/identity/client_address/tests/properties.rs::the_walk_agrees_with_a_naive_one",
            "tests/fuzz/client_address.rs::client_address",
        ],
        "",
    ),
    promise(
        17,
        "IPv6 hosts cannot rotate out",
        &["tests/worker/forged.rs::a_thousand_addresses_of_one_network_are_one_caller"],
        "",
    ),
    promise(
        18,
        "No secrets at rest or in logs",
        &[
            "tests/worker/secrets.rs::no_secret_is_in_a_log_an_answer_or_redis",
            "tests/worker/secrets.rs::no_secret_is_in_what_is_said_of_a_failure",
        ],
        "",
    ),
    promise(
        19,
        "The front door holds",
        &[
            "crates/server/src/listen/tests.rs::a_connection_that_does_not_finish_a_head_is_closed",
            "crates/server/src/listen/tests.rs::a_head_of_too_many_fields_or_bytes_is_a_431",
            "crates/server/src/listen/tests.rs::one_connection_too_many_waits_for_its_turn",
            "tests/worker/front_door/slow.rs::a_head_that_does_not_come_is_cut_at_its_time",
            "tests/worker/front_door/slow.rs::a_body_that_stops_or_dribbles_is_a_408_and_never_whole",
            "tests/worker/front_door/slow.rs::a_body_that_takes_longer_than_its_time_out_but_moves_is_served",
            "tests/worker/front_door/slow.rs::a_body_that_goes_on_after_its_answer_is_taken_to_its_end",
            "tests/worker/front_door/slow.rs::a_head_that_does_not_come_holds_up_no_drain",
            "tests/worker/front_door/slow.rs::the_other_listeners_do_not_wait_for_a_body_either",
            "tests/worker/front_door/slow.rs::a_connection_that_asks_for_nothing_more_is_closed",
            "tests/worker/front_door/slow.rs::a_client_that_does_not_read_is_cut_and_holds_little",
            "tests/worker/front_door/slow.rs::a_tunnel_in_which_nothing_moves_is_closed_and_another_is_not",
            "tests/worker/front_door/many.rs::one_address_cannot_take_all_places",
            "tests/worker/front_door/many.rs::a_trusted_proxy_is_not_held_to_the_places_of_one_address",
            "tests/worker/front_door/many.rs::idle_connections_are_bounded_and_end_and_others_get_their_turn",
            "tests/worker/front_door/large.rs::a_head_that_is_too_large_is_refused_by_name",
            "tests/worker/front_door/large.rs::a_body_beyond_its_bound_is_refused_however_it_is_announced",
            "tests/worker/front_door/ambiguous.rs::a_request_that_can_be_read_in_two_ways_is_a_400_and_goes_nowhere",
            "tests/worker/front_door/ambiguous.rs::what_follows_a_request_is_held_to_the_same",
            "tests/worker/front_door/ambiguous.rs::chunks_that_can_be_read_in_two_ways_are_a_400_and_never_a_whole_body",
            "tests/worker/front_door/ambiguous.rs::a_request_names_one_host",
            "tests/worker/front_door/ambiguous.rs::what_goes_on_is_framed_anew",
            "tests/worker/front_door/http2.rs::a_rapid_reset_ends_its_connection",
            "tests/worker/front_door/http2.rs::a_head_without_end_ends_its_connection",
            "tests/worker/front_door/http2.rs::a_header_bomb_is_refused_and_never_goes_on",
            "tests/worker/front_door/http2.rs::floods_of_pings_and_settings_are_borne_or_ended",
            "tests/worker/front_door/http2.rs::a_stream_too_many_is_refused",
            "tests/worker/front_door/http2.rs::a_window_of_zero_is_a_client_that_does_not_read",
            "tests/worker/front_door/http2.rs::who_asks_after_the_farewell_is_held_to_his_time_too",
            "tests/worker/front_door/http2.rs::a_connection_that_only_pings_is_idle",
            "tests/worker/front_door/http2.rs::a_connection_that_was_opened_in_advance_is_held_to_the_time_of_an_idle_one",
            "tests/worker/front_door/http2.rs::a_request_that_crosses_the_farewell_of_an_idle_connection_is_answered",
            "tests/worker/front_door/http2.rs::what_belongs_to_a_connection_or_names_two_hosts_is_refused",
        ],
        "",
    ),
    promise(
        20,
        "Least privilege",
        &[
            "tests/redis/acl.rs::nothing_that_a_worker_or_an_operator_does_is_refused",
            "tests/redis/acl.rs::whatever_else_is_asked_under_the_rights_of_a_worker_is_refused",
            "tests/redis/doctor.rs::the_rights_of_the_readme_are_enough_and_nothing_is_left_behind",
        ],
        "",
    ),
    promise(
        21,
        "The admin plane cannot break the data plane",
        &[
            "tests/worker/admin_api.rs::a_flood_of_wrong_tokens_is_limited_and_shuts_nobody_out",
            "tests/worker/front_door/admin.rs::a_flood_of_wrong_tokens_delays_no_decision_and_shuts_nobody_out",
            "tests/worker/front_door/admin.rs::a_large_body_is_refused_with_a_token_or_without",
            "tests/worker/front_door/admin.rs::connections_to_the_admin_listener_are_few",
            "tests/worker/reload/files.rs::a_broken_file_is_refused_once_and_a_mended_one_is_in_force",
            "tests/worker/reload/under_load.rs::a_hundred_reloads_under_load_fail_no_request",
        ],
        "",
    ),
    promise(
        22,
        "Worker death is harmless",
        &[
            "tests/worker/drain.rs::sigterm_lets_a_request_end_that_is_in_flight",
            "tests/worker/drain.rs::during_the_delay_a_worker_is_not_ready_and_serves_on",
            "tests/worker/drain.rs::during_the_delay_each_connection_ends_with_its_next_answer",
            "tests/worker/rolling.rs::a_rolling_restart_fails_no_request",
            "tests/worker/rolling.rs::killed_workers_fail_only_what_they_had_in_flight",
        ],
        "",
    ),
    promise(
        23,
        "Works without Redis at boot",
        &[
            "tests/worker/without_redis.rs::without_redis_every_policy_fails_in_its_own_way",
            "tests/worker/without_redis.rs::when_redis_comes_it_decides_within_a_second",
            "tests/worker/without_redis.rs::a_worker_may_be_ready_only_while_redis_decides",
        ],
        "",
    ),
    promise(
        24,
        "Nothing degrades silently",
        &[
            "tests/worker/metrics.rs::what_is_decided_without_redis_is_counted_by_its_reason",
            "tests/worker/outage.rs::the_log_says_each_time_that_redis_was_lost_and_that_it_is_back",
            "tests/worker/prometheus.rs::a_fresh_worker_raises_no_alarm_and_one_that_loses_redis_does",
        ],
        MATRIX,
    ),
    promise(
        25,
        "One switch turns it off",
        &[
            "tests/worker/operator_cli/fleet.rs::the_mode_of_the_fleet_is_seen_by_every_worker_within_a_second",
            "tests/worker/penalties.rs::the_mode_of_the_fleet_holds_within_a_second_and_outlives_redis",
        ],
        "",
    ),
    promise(
        26,
        "Known denials are exact",
        &[
            "tests/redis/denials/changes.rs::a_change_is_seen_by_every_worker_within_a_tenth_of_a_second",
            "tests/redis/denials/deaf.rs::a_connection_that_has_died_in_silence_is_not_taken_for_peace",
            "tests/redis/denials.rs::whoever_waits_as_long_as_the_cache_says_is_admitted",
            "tests/fleet/exactness.rs::four_workers_on_1_and_10_and_10_000_keys_admit_exactly_what_they_may",
            "tests/fleet/denials.rs::one_hot_key_is_denied_without_redis_and_holds_nobody_up",
        ],
        "",
    ),
    promise(
        27,
        "A noisy neighbour is contained",
        &[
            "tests/faults/cluster.rs::black_hole",
            "tests/faults/cluster.rs::stop",
            "tests/redis/denials/changes.rs::on_a_cluster_changes_are_heard_of_node_by_node",
            "tests/fleet/denials.rs::one_hot_key_is_denied_without_redis_and_holds_nobody_up",
        ],
        "a shard that does not answer; beside a hot key others are admitted, and their times are printed",
    ),
    promise(
        28,
        "The same answers on every Redis",
        &[
            "tests/replay/files.rs::every_trace_comes_out_as_written_in_redis_and_in_process",
            "tests/replay/random.rs::random_traces_agree_with_the_model",
        ],
        "`./test` runs all of `tests/replay`, `tests/redis` and `tests/fleet` on the server that is installed and on each of \
         `tests/versions.sh` that it can get; the README names those that it could",
    ),
];

/// What is not run, and why: cells of the matrix, and other faults that a promise names.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("single::failover", "there is nobody to fail over to"),
    (
        "sentinel::read_only",
        "sentinels undo it in their own time; `single::read_only` is the same to a worker",
    ),
    ("sentinel::busy", "sentinels end such a script themselves"),
    (SENTINEL_LIKE_SINGLE, OF_ONE_SERVER),
    (CLUSTER_LIKE_SINGLE, OF_ONE_SERVER),
    (
        "cluster::busy, cluster::loading",
        "a node that is held up for that long is replaced, as in `cluster::stop`",
    ),
    (
        "P4: a name server that hangs",
        "not run: the resolver is the machine's. A name is looked up by attempts to connect, which \
         go on beside decisions and are given up after 500 ms, as is shown of one that stalls in \
         TLS",
    ),
    (
        "P4: DEBUG SLEEP",
        "not run: it is `single::stop` to a worker, a server that keeps its connections and \
         answers nothing",
    ),
    (
        "P4: a pool that is empty",
        "not run: no decision takes a connection out of the pool, a lane keeps its own. Nor is a \
         queue filled, 4,096 requests for each server; one more is refused as `overloaded`",
    ),
    (
        "P7: Redis away for 60 s and for 10 min",
        "30 s at most: pauses between two attempts grow three times, to their longest, within a \
         second. No minute passes as a whole in such an outage; in those of the property under P6 \
         some do",
    ),
    (
        "P8: a connection that is dropped after 10 min without traffic",
        "not run: none is without traffic for that long, each asks for its server's role four \
         times a second or pings. One that dies while nothing is decided is replaced in \
         `calm::connections_that_are_dead_are_replaced_within_two_seconds`",
    ),
    (
        "P9: a name that leads to another server",
        "not run: the resolver is the machine's. A name is looked up for each connection, and one \
         that leads to a replica is left, as in `single::read_only`",
    ),
];

const SENTINEL_LIKE_SINGLE: &str = "sentinel::reset, sentinel::lost_replies, sentinel::latency, \
    sentinel::trickle, sentinel::loading, sentinel::out_of_memory, sentinel::clock_back, \
    sentinel::clock_forward";
const CLUSTER_LIKE_SINGLE: &str = "cluster::refuse, cluster::reset, cluster::lost_replies, \
    cluster::latency, cluster::trickle, cluster::out_of_memory, cluster::read_only, \
    cluster::clock_back, cluster::clock_forward";
const OF_ONE_SERVER: &str =
    "not run: a worker meets one server by the same lanes and breaker as in the row of `single`";
