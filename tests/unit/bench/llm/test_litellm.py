from pathlib import Path

import pytest

from bench.llm.asks import MODEL, THEIR_MODEL
from bench.llm.ground import Ground
from bench.llm.litellm import VERSION, config, installed


def test_what_was_installed_is_not_installed_again(tmp_path: Path):
    folder = tmp_path / f"litellm-{VERSION}"
    folder.mkdir()
    (folder / ".whole").touch()

    assert installed(tmp_path) == folder / "bin" / "litellm"
    assert [path.name for path in folder.iterdir()] == [".whole"]


@pytest.mark.parametrize("key", ["sk-of-this-run"])
def test_it_has_the_same_provider_and_a_key(tmp_path: Path, key: str):
    ground = Ground(tmp_path, tmp_path / "envoy", 1234, tmp_path / "jwks.json", "token", tmp_path)

    found = config(ground, key)

    assert found["general_settings"] == {"master_key": key}
    assert found["model_list"] == [
        {
            "model_name": MODEL,
            "litellm_params": {
                "model": f"openai/{THEIR_MODEL}",
                "api_base": "http://127.0.0.1:1234/v1",
                "api_key": "none",
            },
        }
    ]
