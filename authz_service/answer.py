"""Writes decisions as serialized CheckResponse messages.

An allowed request carries every part of the identity, "-" for what is missing, so that a header of an earlier hop can
never stand in for one. Refusals, 503 too, are `denied_response`: Envoy counts an `error_response` as a failure of the
service, which `failure_mode_allow` would let pass.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz_service.case import Denial
from authz_service.identity import Grant
from service_kit.contract import IDENTITY_PARTS, MISSING, identity_header

# google.rpc.Code of the refusals; 0 is OK.
_CODES: Final[Mapping[int, int]] = {400: 3, 401: 16, 403: 7, 503: 14}


@lru_cache(maxsize=4096)  # a function of its arguments alone: the same identity on the same profile gets the same bytes
def allowed(grant: Grant, profile: str) -> bytes:
    """The answer that lets a request pass as this identity on a route of this profile."""
    identity = _identity(grant, profile)
    response = auth_pb.CheckResponse()
    response.status.code = 0
    response.ok_response.headers.extend(_header(identity_header(part), identity[part]) for part in IDENTITY_PARTS)
    if not grant.forward:
        response.ok_response.headers_to_remove.append("authorization")
    response.dynamic_metadata.update(identity)
    serialized: bytes = response.SerializeToString()
    return serialized


def denied(denial: Denial, request_id: str) -> bytes:
    """The answer that refuses a request, with the error in JSON."""
    error = {"code": denial.code, "message": denial.message, "request_id": request_id}
    response = auth_pb.CheckResponse()
    response.status.code = _CODES[denial.status]
    response.denied_response.status.code = denial.status
    response.denied_response.body = json.dumps({"error": error})
    response.denied_response.headers.append(_header("content-type", "application/json"))
    if denial.challenge is not None:
        response.denied_response.headers.append(_header("www-authenticate", denial.challenge))
    serialized: bytes = response.SerializeToString()
    return serialized


def _identity(grant: Grant, profile: str) -> dict[str, str]:
    parts = {
        "subject": grant.subject,
        "tenant": grant.tenant,
        "consumer": grant.consumer,
        "plan": grant.plan,
        "key_id": grant.key_id,
        "profile": profile,
    }
    return {name: MISSING if value is None else value for name, value in parts.items()}


def _header(name: str, value: str) -> base_pb.HeaderValueOption:
    return base_pb.HeaderValueOption(
        header=base_pb.HeaderValue(key=name, value=value),
        append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
