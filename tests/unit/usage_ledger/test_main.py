"""What the process is told, and what it does not take."""

import pytest

from usage_ledger.main import parsed_settings

GOOD = ["--listen", "unix:/run/l.sock", "--control-plane", "unix:/run/x.sock", "--access-log", "/var/log/access.log"]


def test_settings():
    settings, own = parsed_settings([*GOOD, "--http", "unix:/run/u.sock"], {"TOLLGATE_WRITER": "pod-1"})

    assert str(settings.listen) == "unix:/run/l.sock"
    assert (str(own.access_log), own.writer, str(own.http)) == ("/var/log/access.log", "pod-1", "unix:/run/u.sock")


def test_a_password_is_not_shown():
    _, own = parsed_settings(GOOD, {"TOLLGATE_LEDGER_DATABASE": "postgresql://u:hunter2@db/l"})

    assert "hunter2" in own.database
    assert "hunter2" not in repr(own)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--access-log": ""}, "--access-log is missing"),
        ({"--access-log": "/dev/stdout"}, "or no file"),
        ({"--listen": "127.0.0.1:9103"}, "whoever reaches it reads all usage"),
        ({"--http": "127.0.0.1:9104"}, "says who they are"),
    ],
)
def test_what_cannot_be(changed, said, capsys):
    options = dict(zip(GOOD[::2], GOOD[1::2], strict=True)) | changed
    with pytest.raises(SystemExit):
        parsed_settings([word for pair in options.items() for word in pair], {})

    assert said in capsys.readouterr().err
