"""Writes decisions as serialized CheckResponse messages.

An allowed request carries every part of the identity, "-" for what is missing, so that a header of an earlier hop can
never stand in for one, and what of the request held the credential changes. Refusals, 503 too, are `denied_response`:
Envoy counts an `error_response` as a failure of the service, which `failure_mode_allow` would let pass.

Serialized messages that stand behind one another are one message (protobuf, "Last One Wins"): what many answers share
is made once, what one has to itself is appended.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz_service.case import Denial
from authz_service.errors import error_body
from authz_service.identity import Grant
from authz_service.places import Change
from service_kit.contract import (
    DECISION_HEADER,
    DECISION_ID,
    DECISION_WOULD_DENY,
    IDENTITY_PARTS,
    MISSING,
    identity_header,
)

# google.rpc.Code of the refusals; 0 is OK.
_CODES: Final[Mapping[int, int]] = {400: 3, 401: 16, 403: 7, 503: 14}
# Stands for an id, which is as long.
_SOME_ID: Final = "0" * 36


def allowed(
    grant: Grant, profile: str, decision_id: str, *, without: Change | None = None, would_deny: tuple[str, ...] = ()
) -> bytes:
    """The answer that lets a request pass as this identity on a route of this profile, without its credential."""
    change = None if grant.forward else without
    removed = change.header if change is not None and change.value is None else None
    shared = _allowed(grant, profile, removed) + _decision(would_deny).replace(_SOME_ID.encode(), decision_id.encode())
    return shared if change is None or change.value is None else shared + _changed(change.header, change.value)


def denied(
    denial: Denial, request_id: str, decision_id: str, challenge: str | None = None, *, dialect: str | None = None
) -> bytes:
    """The answer that refuses a request, with the error in JSON."""
    response = auth_pb.CheckResponse()
    response.status.code = _CODES[denial.status]
    response.denied_response.status.code = denial.status
    response.denied_response.body = error_body(denial, request_id, dialect)
    response.denied_response.headers.append(_header("content-type", "application/json"))
    response.denied_response.headers.append(_header(DECISION_HEADER, decision_id))
    if challenge is not None:
        response.denied_response.headers.append(_header("www-authenticate", challenge))
    response.dynamic_metadata.update({DECISION_ID: decision_id})
    return _serialized(response)


@lru_cache(maxsize=4096)  # a function of its arguments alone: the same identity on the same profile gets the same bytes
def _allowed(grant: Grant, profile: str, removed: str | None) -> bytes:
    identity = _identity(grant, profile)
    response = auth_pb.CheckResponse()
    response.status.code = 0
    response.ok_response.headers.extend(_header(identity_header(part), identity[part]) for part in IDENTITY_PARTS)
    if removed is not None:
        response.ok_response.headers_to_remove.append(removed)
    response.dynamic_metadata.update(identity)
    return _serialized(response)


@lru_cache(maxsize=64)  # few demands can fail
def _decision(would_deny: tuple[str, ...]) -> bytes:
    """What is said of one decision alone, with some id."""
    response = auth_pb.CheckResponse()
    response.dynamic_metadata.update({DECISION_ID: _SOME_ID})
    if would_deny:
        response.dynamic_metadata.update({DECISION_WOULD_DENY: " ".join(would_deny)})
    return _serialized(response)


def _changed(header: str, value: str) -> bytes:
    response = auth_pb.CheckResponse()
    response.ok_response.headers.append(_header(header, value))
    return _serialized(response)


def _identity(grant: Grant, profile: str) -> dict[str, str]:
    parts = {
        "subject": grant.subject,
        "tenant": grant.tenant,
        "consumer": grant.consumer,
        "plan": grant.plan,
        "key_id": grant.key_id,
        "models": grant.models,
        "profile": profile,
    }
    return {name: MISSING if value is None else value for name, value in parts.items()}


def _header(name: str, value: str) -> base_pb.HeaderValueOption:
    return base_pb.HeaderValueOption(
        header=base_pb.HeaderValue(key=name, value=value),
        append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def _serialized(response: auth_pb.CheckResponse) -> bytes:
    serialized: bytes = response.SerializeToString()
    return serialized
