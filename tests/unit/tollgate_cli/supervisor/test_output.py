import io
import os

import pytest

from tollgate_cli.supervisor.output import (
    LONGEST_LINE,
    MOST_REMEMBERED,
    ChildOutput,
    Lines,
    Mood,
    Terminal,
    concerns_operator,
    terminal,
)


def output(*, verbose=False, mood=Mood.RUNNING):
    stream = io.StringIO()
    child = ChildOutput("authz", Terminal(stream, colour=False), io.BytesIO(), verbose, mood)
    return child, stream


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param('{"level": "info", "event": "started"}', False, id="info"),
        pytest.param('{"level": "warning", "event": "slow"}', True, id="warning"),
        pytest.param('{"level": "critical", "event": "assert failure"}', True, id="envoy critical"),
        pytest.param(
            """{"level": "warning", "event": "message 'envoy.A' is contained in proto file 'envoy/a.proto' marked as """
            'work-in-progress. API features marked as"}',
            False,
            id="envoy on what is new",
        ),
        pytest.param(
            r'{"level": "warning", "event": "Invalid hits_addend: null_value: NULL_VALUE\n"}',
            False,
            id="envoy on no number",
        ),
        pytest.param('{"event": "no level"}', True, id="no level"),
        pytest.param("{broken", True, id="broken json"),
        pytest.param("Traceback (most recent call last):", True, id="traceback"),
        pytest.param("error: cannot listen on unix:/s/authz.sock", True, id="plain error"),
        pytest.param("", False, id="empty"),
        pytest.param("96:M 21 Nov 2026 05:37:12.678 * Ready to accept connections unix", False, id="store notice"),
        pytest.param("96:M 21 Nov 2026 05:37:12.678 # WARNING Memory overcommit", False, id="store advice"),
        pytest.param("96:M 21 Nov 2026 05:37:12.678 # Fatal error loading the DB", True, id="store failure"),
        pytest.param("[2026-11-21 05:37:22.734][97][info][main] initializing", False, id="envoy before its format"),
        pytest.param("[2026-11-21 05:37:22.734][97][critical][main] error in config", True, id="envoy failure"),
    ],
)
def test_what_concerns_the_operator(line, shown):
    assert concerns_operator(line) is shown


@pytest.mark.parametrize(
    ("mood", "shown"),
    [
        pytest.param(Mood.STARTING, ["error"], id="starting"),
        pytest.param(Mood.RUNNING, ["warning", "error"], id="running"),
        pytest.param(Mood.STOPPING, [], id="stopping"),
    ],
)
def test_the_mood_decides_what_is_news(mood, shown):
    levels = ("info", "warning", "error")

    assert [level for level in levels if concerns_operator(f'{{"level": "{level}"}}', mood)] == shown


def test_lines_are_cut_at_their_ends_wherever_the_data_is_split():
    lines = Lines()

    assert [lines.feed(part) for part in (b"on", b"e\ntwo\r\nth", b"ree")] == [[], ["one", "two"], []]
    assert lines.last() == ["three"]


def test_a_line_without_end_is_bounded():
    assert Lines().feed(b"x" * (LONGEST_LINE + 1)) == ["x" * LONGEST_LINE]


def test_every_byte_goes_into_the_log_and_only_news_to_the_terminal():
    child, stream = output()

    child.write(b'{"level": "info"}\nerror: no\n')

    assert child.log.getvalue() == b'{"level": "info"}\nerror: no\n'
    assert stream.getvalue() == "authz         | error: no\n"


def test_a_child_that_never_says_the_same_twice_costs_no_memory():
    child, _ = output()

    for number in range(3 * MOST_REMEMBERED):
        child.once(f"complaint {number}")

    assert len(child._shown) <= MOST_REMEMBERED


def test_a_reason_that_repeats_is_shown_once_until_the_child_was_well():
    child, stream = output()

    child.write(b"error: no\nerror: no\n")
    child.forget()
    child.write(b"error: no\n")

    assert stream.getvalue().count("error: no") == 2


def test_verbose_shows_everything():
    child, stream = output(verbose=True, mood=Mood.STARTING)

    child.write(b'{"level": "debug"}\n')

    assert "debug" in stream.getvalue()


class BrokenStream(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("stream", [pytest.param(None, id="none"), pytest.param(BrokenStream(), id="hung up")])
def test_a_terminal_that_is_gone_costs_nothing(stream):
    screen = terminal(stream, {})

    screen.line("ready")
    screen.line("ready")


def test_a_closed_terminal_costs_nothing():
    stream = io.StringIO()
    stream.close()

    terminal(stream, {}).line("ready")


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        pytest.param({}, False, id="no terminal"),
        pytest.param({"FORCE_COLOR": "1"}, True, id="asked for"),
        pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, id="refused"),
    ],
)
def test_colour_is_for_people_who_want_it(environ, coloured):
    stream = io.StringIO()

    terminal(stream, environ).labelled("authz", "hello")

    assert ("\x1b[" in stream.getvalue()) is coloured


def test_a_terminal_that_nobody_reads_is_not_waited_for():
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as stream:
        screen = terminal(stream, {})
        for _ in range(100):
            screen.line("x" * LONGEST_LINE)


def test_what_a_terminal_cannot_show_is_replaced():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    terminal(stream, {}).line("caf\u00e9")

    assert stream.buffer.getvalue() == b"caf?\n"


def test_a_log_line_cannot_steer_the_terminal():
    child, stream = output()

    child.write(b"error: \x1b[2J\x07\n")

    assert stream.getvalue() == "authz         | error: ?[2J?\n"
