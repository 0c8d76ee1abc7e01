"""What the model expects at a path."""

import pytest

from control_plane.config.expected import expects_entries, expects_keys, expects_names, expects_secret

PATHS = [
    ((), "keys"),
    (("version",), ""),
    (("admin",), "keys"),
    (("admin", "address"), ""),
    (("admin", "token"), "secret"),
    (("defaults", "auth"), ""),
    (("upstreams",), "names"),
    (("upstreams", "email"), "keys"),
    (("routes",), "entries"),
    (("routes", 0), "keys"),
    (("routes", 0, "match", "hosts"), ""),
    (("identity", "bearer_tokens", 3, "token"), "secret"),
    (("identity", "jwt", 0, "keys", "secret"), "secret"),
    (("identity", "jwt", 0, "keys", "file"), ""),
    (("nothing", "like", 0, "this"), ""),
]


@pytest.mark.parametrize(("path", "kind"), PATHS, ids=str)
def test_what_the_model_expects(path, kind):
    found = {
        "keys": expects_keys(path),
        "names": expects_names(path),
        "entries": expects_entries(path),
        "secret": expects_secret(path),
    }

    assert [name for name, holds in found.items() if holds] == ([kind] if kind else [])
