import json
import re
from typing import Any

import pytest
from pydantic import BaseModel

from control_plane.config import model
from control_plane.config.schema import json_schema

MODELS = [
    kind
    for kind in vars(model).values()
    if isinstance(kind, type) and issubclass(kind, model.Model) and kind not in (model.Model, model.Named, model.Config)
]


def definition(kind: type[BaseModel]) -> dict[str, Any]:
    schema = json_schema()
    return schema if kind is model.Config else schema["$defs"][kind.__name__]


@pytest.mark.parametrize("kind", [*MODELS, model.Config])
def test_every_key_is_published_with_its_meaning(kind):
    properties = definition(kind)["properties"]

    assert properties.keys() == kind.model_fields.keys()
    assert [key for key, schema in properties.items() if not schema.get("description")] == []


@pytest.mark.parametrize("kind", [*MODELS, model.Config])
def test_unknown_keys_are_refused(kind):
    assert definition(kind)["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "key", "accepted", "refused"),
    [
        pytest.param(model.Route, "timeout", ["30s", "1.5m", "${TIMEOUT}"], ["30", "s"], id="duration"),
        pytest.param(model.Route, "body_limit", ["8MiB", "${LIMIT:-1MB}"], ["8M"], id="size"),
        pytest.param(model.WeightedUpstream, "name", ["email-1"], ["a b", "-a"], id="name"),
        pytest.param(model.Limit, "requests", ["60/minute"], ["60", "60/min"], id="rate"),
        pytest.param(model.Match, "path", ["/a/*"], ["a"], id="path"),
        pytest.param(model.Upstream, "url", ["http://a:80", "https://a/v1", "${URL}"], ["ftp://a"], id="URL"),
        pytest.param(model.Listener, "address", ["0.0.0.0:80"], ["0.0.0.0"], id="address"),
    ],
)
def test_small_languages_are_text_with_a_pattern(kind, key, accepted, refused):
    schema = definition(kind)["properties"][key]

    assert schema["type"] == "string"
    assert [text for text in accepted if not re.search(schema["pattern"], text)] == []
    assert [text for text in refused if re.search(schema["pattern"], text)] == []


@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        pytest.param(model.Admin, "address", "127.0.0.1:8801", id="address"),
        pytest.param(model.Upstream, "connect_timeout", "2s", id="duration"),
        pytest.param(model.JwtIssuer, "leeway", "0s", id="no duration"),
        pytest.param(model.Route, "body_limit", "8MiB", id="size"),
        pytest.param(model.Limit, "per", "subject", id="word"),
        pytest.param(model.Route, "websocket", False, id="truth value"),
    ],
)
def test_defaults_are_published_as_they_would_be_written(kind, key, expected):
    assert definition(kind)["properties"][key]["default"] == expected


def test_names_are_checked_as_keys():
    upstreams = json_schema()["properties"]["upstreams"]

    assert list(upstreams["patternProperties"].values()) == [{"$ref": "#/$defs/Upstream"}]
    assert upstreams["additionalProperties"] is False


def test_the_schema_is_json_of_a_known_dialect():
    schema = json.loads(json.dumps(json_schema()))

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["version", "listeners"]
