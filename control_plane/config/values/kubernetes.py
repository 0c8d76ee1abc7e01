"""Names of Kubernetes, and the ports of its Services."""

import re
from typing import Annotated

from pydantic import GetJsonSchemaHandler, GetPydanticSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from control_plane.config.values.base import Mistake, scalar

LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
SERVICE_PORT_PATTERN = r"^([0-9]{1,5}|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$"
LARGEST_PORT = 65535
PORT_CURE = "write the name of the Service's port, such as http, or the number that the pods listen on"


def label(text: str) -> str:
    """The name of a namespace or a Service (RFC 1123)."""
    if not re.fullmatch(LABEL_PATTERN, text):
        cure = "use up to 63 small letters, digits and '-', the first and last one a letter or digit"
        raise Mistake("is no name in Kubernetes", cure, value=text)
    return text


def service_port(written: object) -> str | int:
    """The name of a Service's port, or the number that its pods listen on."""
    if isinstance(written, bool) or not isinstance(written, int | str):
        raise Mistake("expected the name or the number of a port", PORT_CURE)
    if isinstance(written, str) and not written.isdecimal():
        if not re.fullmatch(SERVICE_PORT_PATTERN, written):
            raise Mistake("is no port of a Service", PORT_CURE, value=written)
        return written
    number = int(written) if len(str(written)) <= len(str(LARGEST_PORT)) else 0
    if not 1 <= number <= LARGEST_PORT:
        raise Mistake("is no number of a port", f"write 1 to {LARGEST_PORT}, or a name", value=str(written))
    return number


def _port_schema(_schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    return {
        "type": ["string", "integer"],
        "pattern": SERVICE_PORT_PATTERN,
        "minimum": 1,
        "maximum": LARGEST_PORT,
        "description": "a port such as http or 8080",
    }


Label = Annotated[str, scalar(label, pattern=LABEL_PATTERN, description="a name such as email")]
ServicePort = Annotated[
    str | int,
    GetPydanticSchema(
        lambda _type, _handler: core_schema.no_info_plain_validator_function(
            service_port, metadata={"pydantic_js_functions": [_port_schema]}
        )
    ),
]
