"""Lines that another process reads; the audit trail's tests say the rest (test_audit.py)."""

from service_kit.appended import append


def test_a_torn_line_spoils_no_other(tmp_path):
    file = tmp_path / "events"
    append(file, [b'{"hold":"a"}\n'])
    with file.open("a") as opened:
        opened.write('{"hold":')

    append(file, [b'{"hold":"b"}\n'])

    assert file.read_text().splitlines() == ['{"hold":"a"}', '{"hold":', '{"hold":"b"}']
    assert file.stat().st_mode & 0o777 == 0o600
