import pytest

from tests.support.plain_http import plain_http
from tollgate_cli.container.health import main


@pytest.mark.parametrize(("status", "code"), [pytest.param(200, 0, id="well"), pytest.param(503, 1, id="unwell")])
def test_health_is_an_exit_code(status, code):
    with plain_http(status) as url:
        assert main(["http", url], {}) == code


def test_the_environment_names_what_is_asked():
    with plain_http(200) as url:
        assert main([], {"TOLLGATE_HEALTH_URL": url}) == 0


@pytest.mark.parametrize("argv", [["tcp", "127.0.0.1:1"], ["http"], ["http", "http://a/", "http://b/"]])
def test_wrong_usage(argv, capsys):
    assert main(argv, {}) == 2
    assert "usage: " in capsys.readouterr().err


def test_the_reason_is_one_line(tmp_path, capsys):
    assert main(["store", f"unix:{tmp_path}/none.sock"], {}) == 1
    assert capsys.readouterr().err.startswith(f"error: unix:{tmp_path}/none.sock gives no answer: ")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http:///health", "http://127.0.0.1:http/", "http://[::1/"])
def test_an_address_that_is_none_is_one_line_too(url, capsys):
    assert main(["http", url], {}) == 1
    assert capsys.readouterr().err == f"error: {url!r} is no address to ask: write http://HOST:PORT/PATH\n"
