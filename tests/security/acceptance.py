"""What was asked of the gateway's hardening, as data, and the tests that show each. The page is made from this:
`python -m tests.security`.

Tests are named by their file below tests/ and their function. Where the gateway has no such thing, `none` says why.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Item:
    """A line of the list, or an advisory of somebody else's software and what it teaches."""

    name: str
    text: str
    tests: tuple[str, ...] = ()
    none: str = ""


@dataclass(frozen=True)
class Chapter:
    title: str
    items: tuple[Item, ...]


GATEWAY: Final = "security/test_gateway_attacks.py::"
MESSAGES: Final = "security/test_message_attacks.py::"
FRAMES: Final = "security/test_frame_attacks.py::"
PLACES: Final = "security/test_credential_places.py::"
PATHS: Final = "security/test_random_paths.py::test_the_authorizer_is_told_the_route_that_serves"
TOKENS: Final = "security/test_random_tokens.py::test_who_judges_makes_no_difference"
TIMES: Final = "security/test_time_attacks.py::"
HOSTILE: Final = "security/test_hostile_authorizer.py::"
ADDRESSES: Final = "security/test_client_addresses.py::test_a_client_is_where_its_connection_comes_from"
JWT: Final = "security/test_jwt_attacks.py::"
KEYS: Final = "security/test_api_key_attacks.py::"
ATTACK: Final = f"{GATEWAY}test_an_attack_is_refused"
UNASKED: Final = f"{MESSAGES}test_nothing_passes_while_nobody_answers"
NO_ANSWER: Final = f"{HOSTILE}test_what_is_no_answer_opens_nothing"
SAME: Final = "e2e/test_enforcement.py::test_both_modes_tell_the_same"
ADVISORY: Final = f"{JWT}test_an_advisory_of_the_library"
FETCHED: Final = "unit/control_plane/key_sets/test_fetched.py::"

CHAPTERS: Final = (
    Chapter(
        "Envoy and the authorizer",
        (
            Item("1", "An authorizer that fails, hangs or is away refuses, and no header tells of a failure mode.",
                 (NO_ANSWER, f"{MESSAGES}test_nobody_who_could_answer_is_no_yes",
                  "e2e/test_disruption.py::test_a_killed_authorizer_refuses_and_comes_back_by_itself")),
            Item("2", "Whatever is no whole yes is a refusal: no status, an error, a refusal without words.",
                 (NO_ANSWER, "security/test_authz_properties.py::test_random_bytes_as_a_request")),
            Item("3", "The authorizer's headers overwrite those of clients; it changes nothing but what it may.",
                 (f"{HOSTILE}test_it_changes_nothing_but_what_it_may",
                  "unit/authz_service/test_server.py::test_every_identity_header_is_overwritten_and_the_credential_removed")),
            Item("4", "It sees headers as they came: repeated ones apart, bytes that are no UTF-8 as they are.",
                 (ATTACK, "unit/authz_service/test_request.py::test_repeated_headers_stay_apart")),
            Item("5",
                 "Paths and hosts are normalised before the route is chosen: router and authorizer see one string.",
                 (PATHS, ATTACK, "unit/control_plane/xds/test_listener.py::test_a_path_is_one_string_for_every_rule")),
            Item("6", "A body that is cut off or unreadable is never judged as a whole one.",
                 ("e2e/test_shaping.py::test_a_body_over_the_limit_is_not_read",
                  "e2e/test_shaping.py::test_what_cannot_be_rewritten_goes_nowhere")),
            Item("7", "A request is served by the route it was authorized for, whatever makes Envoy choose again.",
                 ("security/test_rematch.py::test_a_public_request_is_not_served_by_an_admin_route",
                  "security/test_rematch.py::test_a_token_that_envoy_judged_is_not_served_by_a_route_that_demands_more",
                  PATHS)),
            Item("8", "Answers of the authorizer are validated; headers of the system are not its to change.",
                 (NO_ANSWER, f"{HOSTILE}test_it_changes_nothing_but_what_it_may",
                  "unit/service_kit/test_contract.py::test_the_authorizer_may_set_what_it_sets")),
            Item("9", "The route's demands travel with the question; an authorizer of another version refuses.",
                 ("unit/authz_service/test_request.py::test_demands_that_cannot_be_read_are_a_skew",
                  "unit/service_kit/test_contract.py::test_a_route_hands_over_exactly_what_the_authorizer_reads")),
            Item("10", "gRPC callers are refused in their own words; a stream is judged once, when it begins.",
                 (f"{GATEWAY}test_a_denied_grpc_call_hears_it_in_its_own_words",
                  "e2e/test_upstreams_grpc.py::test_a_refusal_of_the_gateway_is_a_status_of_grpc",
                  f"{TIMES}test_a_request_lives_on_when_its_token_ends_and_no_other_begins")),
            Item("11", "Identity is the gateway's alone: client copies go, in any spelling, before anybody reads them.",
                 (f"{GATEWAY}test_identity_is_ours_alone", f"{GATEWAY}test_a_trailer_is_no_identity",
                  "unit/service_kit/test_contract.py::test_clients_cannot_bring_a_header_of_the_identity")),
            Item("12",
                 "The client's address is that of its connection, or what a trusted proxy says; mapped IPv4 is IPv4.",
                 (ADDRESSES, "e2e/listeners/test_client_address.py::test_log_and_upstream_see_one_address",
                  "unit/authz_service/test_networks.py::test_an_old_address_is_the_same_in_new_clothes")),
        ),
    ),
    Chapter(
        "JSON Web Tokens",
        (
            Item("13", "Algorithms are those of the issuer, never the token's; no key serves HMAC and signatures.",
                 (f"{JWT}test_a_signature_that_the_issuer_did_not_make",
                 f"{JWT}test_an_algorithm_must_fit_the_key_it_is_used_with",
                  f"{JWT}test_what_is_public_is_no_secret", TOKENS, SAME)),
            Item("14", "`iss` is exact, `aud` required.", (f"{JWT}test_a_claim_that_does_not_hold", TOKENS, SAME)),
            Item("15", "`exp` is required, dates have a small leeway, lifetimes a longest one.",
                 (f"{JWT}test_leeway_is_for_clocks_and_no_longer",
                  f"{JWT}test_a_longest_lifetime_needs_an_issue_date_and_bounds_it",
                  f"{JWT}test_an_expiry_that_is_no_number", SAME)),
            Item("16", "`kid` is required among several keys; an unknown one costs one fetch in a while.",
                 (f"{JWT}test_among_several_keys_the_token_must_name_one",
                  "e2e/test_key_sets.py::test_tokens_with_invented_keys_cost_one_fetch",
                  f"{FETCHED}test_all_who_ask_at_once_are_one_fetch",
                  f"{FETCHED}test_it_is_fetched_once_in_half_a_minute")),
            Item("17",
                 "Key sets are fetched in the background, kept on errors, bounded, and from public addresses only.",
                 (f"{FETCHED}test_a_failure_keeps_the_last_good_set_for_ever",
                  "unit/control_plane/key_sets/test_documents.py::test_an_answer_that_is_none",
                  "unit/control_plane/key_sets/test_documents.py::test_a_name_of_no_public_address",
                  "e2e/test_key_sets.py::test_an_issuer_that_is_away_changes_nothing")),
            Item("18", "`crit` is refused.", (f"{JWT}test_a_critical_extension_is_refused_even_when_signed", SAME)),
            Item("19", "`jku`, `x5u`, `x5c` and `jwk` are never looked at.",
                 (f"{JWT}test_a_token_does_not_bring_its_own_key",
                 f"{JWT}test_keys_beside_a_good_signature_are_not_looked_at")),
            Item("20", "Two credentials are refused.",
                 (f"{PLACES}test_two_credentials_are_refused_in_every_pair_of_places",
                 f"{JWT}test_two_credentials_are_none")),
            Item("21", "Tokens have a longest size.", (f"{JWT}test_a_header_that_holds_no_credential", ATTACK, SAME)),
            Item("22", "`typ` is checked where it is written.", (f"{JWT}test_a_token_of_another_type", SAME)),
            Item("23", "No claim is shown, logged or passed on that was not verified.",
                 (f"{JWT}test_no_claim_of_a_refused_token_is_shown_or_logged", TOKENS)),
            Item("24", "Time is an argument.",
                 (f"{JWT}test_leeway_is_for_clocks_and_no_longer",
                  "unit/authz_service/test_tokens.py::test_a_clock_set_back_forgets")),
        ),
    ),
    Chapter(
        "API keys and lists",
        (
            Item("25",
                 "Keys are kept as keyed hashes and compared in constant time; a wrong one costs the same work.",
                 ("unit/service_kit/test_api_keys.py::test_the_hash_is_keyed_and_of_the_whole_text",
                  "unit/authz_service/checks/test_api_key.py::test_every_refusal_does_the_work_of_a_key_that_is_right")),
            Item("26",
                 "Keys are told by their form, end, overlap when rotated, go at once; their last use is known.",
                 ("e2e/test_keys.py::test_a_key_is_made_used_and_revoked",
                  "e2e/test_keys.py::test_what_a_revocation_takes_to_reach_three_services_is_measured",
                  "e2e/test_keys.py::test_a_rotated_key_works_beside_the_new_one_until_its_overlap_ends",
                  "e2e/test_keys.py::test_when_a_key_was_last_used_is_known_after_a_while",
                  f"{TIMES}test_a_revoked_key_opens_nothing_on_a_connection_that_it_opened")),
            Item("27",
                 "Keys come in headers, a query or a cookie, and go from there before upstreams and logs see them.",
                 (f"{KEYS}test_nothing_but_one_key_in_its_place_opens", f"{KEYS}test_no_log_holds_a_key",
                  f"{PLACES}test_a_lookalike_changes_nothing")),
            Item("28", "No credential goes on to the upstream.",
                 (f"{KEYS}test_of_what_opens_the_upstream_sees_nothing", f"{PLACES}test_who_judges_makes_no_difference",
                  "e2e/test_requests.py::test_the_credential_stays_in_the_gateway")),
            Item("29",
                 "Hosts: any case, a dot behind, a port; `*.a` is neither `a` nor `evila`; origins are something else.",
                 (ATTACK, "e2e/test_shaping.py::test_only_pages_of_allowed_origins_may_read")),
            Item("30", "Lists of networks: both families, mapped addresses, zones, and found in logarithmic time.",
                 ("unit/authz_service/test_networks.py::test_a_list_holds_what_one_of_its_networks_holds",
                  "unit/authz_service/test_networks.py::test_zones_are_not_looked_at",
                  "e2e/test_shaping.py::test_only_listed_networks_may_call")),
        ),
    ),
    Chapter(
        "Operation",
        (
            Item("31",
                 "Each decision has an id, in its log line, the access log and the refusal; no log holds a secret.",
                 ("e2e/identity/test_api_keys.py::test_a_refusal_can_be_found_again",
                  "unit/service_kit/test_log.py::test_a_secret_is_never_written",
                  "e2e/test_observability.py::test_no_credential_in_any_log")),
            Item("32", "A demand can be tried before it is enforced.",
                 ("e2e/identity/test_api_keys.py::test_what_is_only_reported_passes_and_is_told",
                  "unit/authz_service/checks/test_plans.py::test_who_somebody_is_is_never_only_reported")),
            Item("33", "A service serves when it has its policy; an issuer without keys yet is neither yes nor no.",
                 ("unit/service_kit/test_serve.py::test_a_service_is_serving_once_it_has_its_policies_and_stops_when_asked",
                  "e2e/test_key_sets.py::test_an_issuer_that_is_away_at_the_start",
                  f"{JWT}test_an_issuer_without_keys_yet_lets_nobody_in")),
            Item("34", "An answer that is late is a refusal.",
                 (NO_ANSWER,
                 "e2e/test_native_tokens.py::test_without_an_authorizer_its_tokens_pass_and_all_else_is_refused")),
            Item("35", "Decisions are counted.", ("unit/authz_service/test_server.py::test_decisions_are_counted",
                  "e2e/test_observability.py::test_metrics_of_every_process_in_one_scrape")),
            Item("36", "A refusal says what to send and what is missing, not what there is.",
                 ("e2e/test_statuses.py::test_401_says_how_to_authenticate",
                  "e2e/identity/test_api_keys.py::test_the_challenge_fits_the_route",
                  "e2e/identity/test_api_keys.py::test_what_is_no_good_key_gets_one_answer")),
            Item("37", "Hosts are looked up exactly, then by pattern; one that is none chooses no route.",
                 (ATTACK, "security/test_upstream_boundaries.py::test_a_host_that_is_none_chooses_no_route")),
            Item("38", "What is remembered of a token is found by its whole hash and dies with the policy.",
                 ("unit/authz_service/test_tokens.py::test_the_whole_token_is_the_key",
                  "unit/authz_service/checks/test_jwt.py::test_a_new_policy_forgets_every_verified_token")),
            Item("39", "A raw HTTP interface beside gRPC.", none="optional; the authorizer speaks gRPC only"),
        ),
    ),
    Chapter(
        "Advisories of the library that verifies tokens",
        (
            *(Item(name, "The attack of the advisory.", (ADVISORY,))
              for name in ("GHSA-752w-5fwx-jx9f", "CVE-2026-32597", "GHSA-jq35-7prp-9v3f", "CVE-2026-48523",
                           "GHSA-xgmm-8j9v-c9wx", "GHSA-75c5-xw7c-p5pm")),
            Item("CVE-2026-48524", "Tokens with invented key ids make nobody fetch without end.",
                 (ADVISORY, f"{JWT}test_only_a_key_that_could_be_there_is_asked_for",
                  "e2e/test_key_sets.py::test_tokens_with_invented_keys_cost_one_fetch")),
            Item("CVE-2026-48526", "A public key as an HMAC secret.", (ADVISORY,
                 f"{JWT}test_what_is_public_is_no_secret")),
            Item("CVE-2022-29217", "The same, by the algorithm that the token names.",
                 (ADVISORY, f"{JWT}test_what_is_public_is_no_secret")),
            Item("PyJWT >= 2.13.0", "A version without known advisories.",
                 (f"{JWT}test_the_library_is_one_without_known_advisories",)),
        ),
    ),
    Chapter(
        "Advisories of gateways",
        (
            Item("CVE-2026-26205", "`//admin` is a path and no host.", (ATTACK, PATHS)),
            Item("CVE-2024-23324", "A request that breaks the question is no way around it.", (UNASKED,)),
            Item("CVE-2023-27488", "Nor is a header that is no UTF-8.", (UNASKED, ATTACK)),
            Item("CVE-2023-27487", "`x-envoy-original-path` of clients.", (f"{GATEWAY}test_identity_is_ours_alone",
                 PATHS)),
            Item("CVE-2023-27491", "Lines and headers that are invalid go to no upstream.",
                 (f"{FRAMES}test_frames_that_are_no_request", f"{MESSAGES}test_nothing_is_smuggled", ATTACK)),
            Item("CVE-2023-27493", "Nor do values with line breaks that the authorizer sets.", (NO_ANSWER, TOKENS)),
            Item("CVE-2021-32777", "Of a repeated header all values count.",
                 (ATTACK, f"{PLACES}test_two_credentials_are_refused_in_every_pair_of_places")),
            Item("CVE-2021-32779", "A fragment in the path.", (ATTACK, PATHS)),
            Item("CVE-2021-29492", "Encoded slashes.", (ATTACK, PATHS)),
            Item("CVE-2021-31920", "Repeated slashes.", (ATTACK, PATHS)),
            Item("CVE-2019-9900", "NUL in a header.", (ATTACK, f"{FRAMES}test_frames_that_are_no_request")),
            Item("CVE-2019-9901", "Dots in the path.", (ATTACK, PATHS)),
            Item("CVE-2026-26308", "Rules about a header that comes several times.",
                 (f"{PLACES}test_who_judges_makes_no_difference",
                 "e2e/test_native_tokens.py::test_a_token_beside_a_key_is_ambiguous")),
            Item("CVE-2026-31838", "The same.", (f"{PLACES}test_who_judges_makes_no_difference",)),
            Item("CVE-2026-26330", "Clients that go away while they are counted cost nobody else anything.",
                 (f"{FRAMES}test_a_flood_costs_its_own_connection",)),
            Item("CVE-2021-41230", "Claims that are no longer true.",
                 ("unit/authz_service/checks/test_jwt.py::test_a_new_policy_forgets_every_verified_token",
                  "e2e/test_tokens.py::test_a_token_dies_with_its_key",
                  "e2e/test_own_tokens.py::test_a_token_dies_with_its_key_at_once_on_open_connections_and_no_listener_moves",
                  "e2e/test_native_tokens.py::test_a_key_that_is_gone_opens_nothing_not_even_on_an_open_connection")),
            Item("GHSA-4gph-2hhr-5mwg", "No header that clients may bring chooses another route's rules.",
                 (PATHS, "security/test_rematch.py::test_a_client_cannot_bring_the_profile_itself")),
            Item("GHSA-g53w-w6mj-hrpp", "Identity headers of clients.", (f"{GATEWAY}test_identity_is_ours_alone",)),
            Item("GHSA-5m6w-wvh7-57vm", "Names with underscores.",
                 (ATTACK, "unit/service_kit/test_contract.py::test_clients_cannot_bring_a_header_of_the_identity")),
            Item("gateway#8781", "No route takes the place of a rule without saying so.",
                 ("unit/control_plane/test_consistency.py::test_a_route_that_would_lose_a_rule",)),
            Item("envoy#32476", "gRPC calls fail closed, too.", (f"{MESSAGES}test_nobody_who_could_answer_is_no_yes",)),
            Item("gateway#5014", "An authorizer that comes back is asked again.",
                 ("e2e/test_disruption.py::test_a_killed_authorizer_refuses_and_comes_back_by_itself",)),
        ),
    ),
)  # fmt: skip
