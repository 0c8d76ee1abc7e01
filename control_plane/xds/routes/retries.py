"""When a request is tried again, in the words of Envoy, and how long a try may take."""

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2 as previous_hosts_pb

from control_plane.ir.model import Forward, Retries
from control_plane.xds.packing import packed, seconds

# How often a balancer is asked again when it names an endpoint that was tried before.
SELECTIONS = 5
# `refresh_cluster_on_retry: true`, field 14 of the message, which our generated one does not know yet: each try is of
# the next group.
NEXT_GROUP = b"\x70\x01"


def retry_policy(action: Forward) -> route_pb.RetryPolicy | None:
    """The policy; None where a request is tried once and nothing bounds a try."""
    bound = _bound_of_a_try(action)
    if action.retries is None and bound is None:
        return None
    policy = route_pb.RetryPolicy()
    if bound is not None:
        policy.per_try_timeout.CopyFrom(seconds(bound))
    if action.retries is not None:
        _again(policy, action.retries)
    if action.fallback:
        policy.MergeFromString(NEXT_GROUP)
    elif action.retries is not None:
        _elsewhere(policy)
    return policy


def _bound_of_a_try(action: Forward) -> float | None:
    """A route timeout would cut a stream in the middle; that of a try ends when the answer begins."""
    of_a_try = None if action.retries is None else action.retries.per_try_timeout
    return min((bound for bound in (action.timeouts.first_byte, of_a_try) if bound is not None), default=None)


def _again(policy: route_pb.RetryPolicy, retries: Retries) -> None:
    policy.retry_on = ",".join((*retries.on, *(("retriable-status-codes",) if retries.statuses else ())))
    policy.retriable_status_codes.extend(retries.statuses)
    policy.num_retries.value = retries.attempts
    policy.retry_back_off.base_interval.CopyFrom(seconds(retries.backoff))
    policy.retry_back_off.max_interval.CopyFrom(seconds(retries.max_backoff))
    method = policy.retriable_request_headers.add(name=":method")
    method.string_match.safe_regex.regex = "|".join(retries.methods)


def _elsewhere(policy: route_pb.RetryPolicy) -> None:
    """Another endpoint, where there is one."""
    predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
    predicate.typed_config.CopyFrom(packed(previous_hosts_pb.PreviousHostsPredicate()))
    policy.host_selection_retry_max_attempts = SELECTIONS
