"""The access log: one JSON object a request, written when its stream ends. It is the record, so it holds no secret.

The path comes without its query, and no credential is among the headers that are read. Probes are not logged.
"""

import json

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog, AccessLogFilter, NotHealthCheckFilter
from envoy_data_plane.envoy.config.core.v3 import JsonFormatOptions, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.google.protobuf import Any, Struct

from control_plane.xds import names
from service_kit import contract

CLIENT_ADDRESS = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
TOKENS = {
    "in": "input", "out": "output", "total": "total", "cached": "cached", "reasoning": contract.NUMBER_REASONING,
    "passed": contract.NUMBER_PIECES,
}  # fmt: skip
OF_THE_ROUTE = (
    names.ROUTE_METADATA_USAGE,
    names.ROUTE_METADATA_COST,
    names.ROUTE_METADATA_INPUT_PRICE,
    names.ROUTE_METADATA_OUTPUT_PRICE,
    names.ROUTE_METADATA_POLICY,
)
# Of an identity what it may call is long, and known by its key.
WHO = tuple(part for part in contract.IDENTITY_PARTS if part != contract.IDENTITY_MODELS)
# A client's word: bytes of it that are kept.
LONGEST_MODEL = 128
ROUTE = f"xds.route_metadata.filter_metadata['{names.ROUTE_METADATA}']"
# The id by which the limiter knows the call, where it may hold something until its end.
HOLD = f"'{names.ROUTE_METADATA_HOLDS}' in {ROUTE} ? request.id : null"
# What the gateway calls the model, where it knows one; else what the client does.
ASKED_MODEL = f"metadata.filter_metadata['{contract.LLM_NAMESPACE}'].model"
MODEL = f"'{names.ROUTE_METADATA_MODEL}' in {ROUTE} ? {ROUTE}.{names.ROUTE_METADATA_MODEL} : {ASKED_MODEL}"
FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "request_id": f"%REQ({contract.REQUEST_ID_HEADER})%",
    "route": "%ROUTE_NAME%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "client": CLIENT_ADDRESS,
    "protocol": "%PROTOCOL%",
    "host": f"%REQ({contract.FORWARDED_HOST_HEADER}?:AUTHORITY)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "upstream_ms": "%RESPONSE_DURATION%",
    # Until the first byte of the answer's body, failed attempts included: of a stream, the first token.
    "first_token_ms": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    **{part: f"%DYNAMIC_METADATA({contract.IDENTITY_NAMESPACE}:{part})%" for part in WHO},
    "decision": f"%DYNAMIC_METADATA({contract.DECISION_NAMESPACE}:{contract.DECISION_ID})%",
    "would_deny": f"%DYNAMIC_METADATA({contract.DECISION_NAMESPACE}:{contract.DECISION_WOULD_DENY})%",
    "limit": f"%DYNAMIC_METADATA({contract.LIMIT_NAMESPACE}:{contract.LIMIT_RULE})%",
    "would_limit": f"%DYNAMIC_METADATA({contract.LIMIT_NAMESPACE}:{contract.LIMIT_WOULD_REFUSE})%",
    # What a call costs, and by which rules: what the ledger is made of.
    "hold": f"%TYPED_CEL({HOLD})%",
    "model": f"%TYPED_CEL({MODEL}):{LONGEST_MODEL}%",
    "asked_model": f"%DYNAMIC_METADATA({contract.LLM_NAMESPACE}:model):{LONGEST_MODEL}%",
    "targets": f"%METADATA(ROUTE:{names.ROUTE_METADATA}:{names.ROUTE_METADATA_TARGETS})%",
    **{f"tokens_{part}": f"%DYNAMIC_METADATA({contract.USAGE_NAMESPACE}:{key})%" for part, key in TOKENS.items()},
    "tokens_held": f"%DYNAMIC_METADATA({contract.LIMIT_NAMESPACE}:{contract.LIMIT_HELD})%",
    **{key: f"%METADATA(ROUTE:{names.ROUTE_METADATA}:{key})%" for key in OF_THE_ROUTE},
}

# What the upstream answered, where the client is told something else.
SAID = f"%DYNAMIC_METADATA({names.UPSTREAM_METADATA}:{names.UPSTREAM_METADATA_STATUS})%"


def kept(key: str, header: str) -> str:
    """What a request said under this header, also where that went no further; of one refused before, the header."""
    operators = [
        {"command": "DYNAMIC_METADATA", "param": f"{names.CLIENT_METADATA}:{key}"},
        {"command": "REQ", "param": header},
    ]
    return f"%COALESCE({json.dumps({'operators': operators})})%"


def access_log(path: str, listener: str, client: str = CLIENT_ADDRESS, *, spoken: bool = False) -> AccessLog:
    """A file log of this listener; `spoken`: where models are called, whose providers get few headers."""
    of_models = {"host": kept(names.CLIENT_METADATA_HOST, ":AUTHORITY"), "upstream_status": SAID} if spoken else {}
    log_format = SubstitutionFormatString(
        json_format=Struct.from_dict({**FIELDS, **of_models, "listener": listener, "client": client}),
        json_format_options=JsonFormatOptions(sort_properties=False),
    )
    return AccessLog(
        name="envoy.access_loggers.file",
        typed_config=Any.pack(FileAccessLog(path=path, log_format=log_format)),
        filter=AccessLogFilter(not_health_check_filter=NotHealthCheckFilter()),
    )
