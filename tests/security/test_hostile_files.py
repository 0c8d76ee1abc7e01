"""Files that are made to break their reader are a line in the list of mistakes."""

import pytest

from control_plane.compile import compile_file
from control_plane.config.errors import InvalidConfig

CONFIG = """
version: 1
listeners: {public: {address: 127.0.0.1:8800}}
identity:
  jwt:
    - {name: accounts, issuer: "https://a.example", audiences: [gateway], algorithms: [ES256], keys: {file: jwks.json}}
"""


def test_a_key_set_that_is_nested_without_end_is_a_mistake_of_its_line(tmp_path):
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "jwks.json").write_text("[" * 200_000)

    with pytest.raises(InvalidConfig, match=r"gateway.yaml:6:\d+: jwks.json: "):
        compile_file(tmp_path / "gateway.yaml", {})
