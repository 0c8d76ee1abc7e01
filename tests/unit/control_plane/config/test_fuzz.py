"""Whatever a file holds, the answer is a configuration or InvalidConfig, and it comes soon."""

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.config.errors import InvalidConfig
from control_plane.config.load import read_configuration

EXAMPLE = Path(__file__).with_name("example.yaml").read_bytes()
TREE = yaml.safe_load(EXAMPLE)
ENVIRON = {"JWT_SECRET": "s" * 32, "GATEWAY_BEARER_TOKEN": "b" * 16}
FRAGMENTS = (
    b"\xff",
    *"- |: |{|}|[|]|'|\"|&a |*a|<<: |!!x |\t|\n|${|~|---\n|\0|\u2028|? |#|%|0|no|>\n".encode().split(b"|"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def is_read_or_refused(content: bytes) -> None:
    try:
        read_configuration(content, "c.yaml", ENVIRON)
    except InvalidConfig as error:
        places = [item.location for item in error.errors]
    else:
        return
    assert places
    assert all(place.line >= 1 and place.column >= 1 for place in places)


@given(st.binary(max_size=200))
def test_random_bytes(content):
    is_read_or_refused(content)


@given(st.text(max_size=200))
def test_random_text(content):
    is_read_or_refused(content.encode("utf-8", "surrogatepass"))


@given(
    st.lists(st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 20), st.sampled_from(FRAGMENTS)), max_size=4),
)
@settings(deadline=None)
def test_a_configuration_with_typing_errors(edits):
    content = EXAMPLE
    for at, cut, fragment in edits:
        content = content[:at] + fragment + content[at + cut :]

    is_read_or_refused(content)


@st.composite
def replaced(draw, tree=TREE):
    """The example with one of its parts replaced by another value."""
    if not isinstance(tree, dict | list) or not tree or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    key = draw(st.sampled_from(sorted(tree))) if isinstance(tree, dict) else draw(st.integers(0, len(tree) - 1))
    copy = tree.copy()
    copy[key] = draw(replaced(tree=tree[key]))
    return copy


@given(replaced())
@settings(deadline=None)
def test_a_configuration_with_parts_of_another_type(tree):
    is_read_or_refused(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
