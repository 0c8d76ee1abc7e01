import pytest

from llm_translator.main import parsed_settings


def test_settings_come_from_flags_then_environment():
    environ = {"TOLLGATE_LISTEN": "127.0.0.1:2", "TOLLGATE_PROBE": "127.0.0.1:3"}

    settings = parsed_settings(["--listen", "unix:/run/t.sock"], environ)

    assert (str(settings.listen), str(settings.probe), settings.tls) == ("unix:/run/t.sock", "127.0.0.1:3", None)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param([], "--listen is missing", id="nowhere"),
        pytest.param(["--listen", "unix:/l", "--control-plane", "h:1"], "unrecognized arguments", id="no policies"),
    ],
)
def test_wrong_usage(argv, said, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed_settings(argv, {})

    assert said in capsys.readouterr().err
