"""Models of keys that are made at run time: as those of a configuration may be."""

import pytest

from control_plane.keys.checked import checked_key
from control_plane.keys.entries import Declared, KeySpec
from control_plane.keys.errors import BadEntry

DECLARED = Declared(aliases={"gpt-4o-mini": "llama3.1:8b"})


@pytest.mark.parametrize("patterns", [(), ("*",), ("llama3.1:*", "*-embed"), ("org/m@v2+x", "not-there-yet")])
def test_models_that_a_key_may_call(patterns: tuple[str, ...]) -> None:
    assert checked_key(KeySpec("ann", models=patterns), DECLARED, 0).models == tuple(sorted(patterns))


@pytest.mark.parametrize(
    ("pattern", "message", "cure"),
    [
        pytest.param("a*b", "'a*b' is no pattern of models", "write one `*`, first or last", id="middle"),
        pytest.param("*a*", "'*a*' is no pattern of models", "write one `*`, first or last", id="two"),
        pytest.param("a,b", "'a,b' is no name of a model", "use up to 128 letters", id="comma"),
        pytest.param("gpt-4o-mini", "'gpt-4o-mini' is an alias of 'llama3.1:8b'", "write llama3.1:8b", id="alias"),
    ],
)
def test_what_would_mean_no_model(pattern: str, message: str, cure: str) -> None:
    with pytest.raises(BadEntry) as refused:
        checked_key(KeySpec("ann", models=("fine", pattern)), DECLARED, 0)

    assert refused.value.message == f"models: {message}"
    assert refused.value.cure.startswith(cure)
