import pytest

from control_plane.config.values.network import upstream_url
from control_plane.discovery.sources import url_at


@pytest.mark.parametrize(
    ("upstream", "path", "url"),
    [
        pytest.param("http://gpu:11434", "/api/tags", "http://gpu:11434/api/tags", id="ollama"),
        pytest.param("http://gpu:11434/v1", "/api/tags", "http://gpu:11434/api/tags", id="ollama-by-its-openai-path"),
        pytest.param("https://x/ai/v1", "/api/tags", "https://x:443/ai/api/tags", id="ollama-below-a-path"),
        pytest.param("https://api.example.com", "/v1/models", "https://api.example.com:443/v1/models", id="openai"),
        pytest.param("https://x/v1", "/v1/models", "https://x:443/v1/models", id="openai-with-its-path"),
        pytest.param("https://x/openai/v1", "/v1/models", "https://x:443/openai/v1/models", id="another-path"),
        pytest.param("http://[::1]:8000/llm", "/v1/models", "http://[::1]:8000/llm/models", id="in-place-of-v1"),
    ],
)
def test_where_a_provider_is_asked(upstream: str, path: str, url: str):
    assert url_at(upstream_url(upstream), path) == url
