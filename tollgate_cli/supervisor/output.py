"""What a child writes: every byte into its log file, and what a person must see, labelled, to the terminal."""

import io
import json
import re
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TextIO

import typer

COLOURS = ("cyan", "magenta", "blue", "green", "yellow")
LABEL_WIDTH = 13
# With its label a line stays below PIPE_BUF, so that a pipe that has room at all has room for it.
LONGEST_LINE = 4000
# Lines that are remembered as shown: log lines carry a time, so a child that complains without end repeats none.
MOST_REMEMBERED = 1000
# Plain lines that concern nobody: the store's debug, verbose and notice (`PID:ROLE DATE TIME LEVEL message` with . - *)
# and its advice on the machine, and what Envoy writes before it has read the format of its log.
CHATTER = (
    re.compile(r"^\d+:[A-Z] .{20,28} ([.*-]|# WARNING) "),
    re.compile(r"^\[[^]]+\]\[\d+\]\[(trace|debug|info)\]"),
)
# Warnings of Envoy that help nobody: it says of messages that they are new, and of metered calls that it is
# not told a number that there is not.
KNOWN = re.compile(
    r"message '[^']+' is contained in proto file '[^']+' marked as work-in-progress|Invalid hits_addend: "
)
# Levels at which a process reports on itself; anything else, and any line that is no JSON, concerns the operator.
QUIET_LEVELS = frozenset({"trace", "debug", "info"})


class Mood(Enum):
    """What the gateway is doing, which decides what of its processes' output is news."""

    STARTING = QUIET_LEVELS | {"warning"}  # they do not find each other yet, and say so
    RUNNING = QUIET_LEVELS
    STOPPING = None  # they say that they were asked to


class Terminal:
    """A stream for people. It may be missing, closed, read-only or stuck: then nothing is written, and nothing waits.

    A write that blocked would stop the supervisor, then its children on their full pipes, then the traffic.
    """

    def __init__(self, stream: TextIO | None, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour

    def line(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            if _has_room(self._stream):
                self._stream.write(_encodable(text, self._stream.encoding) + "\n")
                self._stream.flush()
        except (OSError, ValueError):  # hung up or closed: the logs have it all
            self._stream = None

    def labelled(self, name: str, text: str) -> None:
        self.line(f"{self._styled(name)} {_printable(text)}")

    def _styled(self, name: str) -> str:
        label = f"{name:<{LABEL_WIDTH}} |"
        return typer.style(label, fg=COLOURS[sum(name.encode()) % len(COLOURS)]) if self._colour else label


def _has_room(stream: TextIO) -> bool:
    """Whether a line can be written without waiting, as far as the stream is a file of the kernel."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _encodable(text: str, encoding: str | None) -> str:
    """The text, with question marks for what the terminal cannot show."""
    return text.encode(encoding or "ascii", "replace").decode(encoding or "ascii")


def _printable(text: str) -> str:
    """The text without the control characters by which a log line could write elsewhere on a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in text)


def terminal(stream: TextIO | None, environ: Mapping[str, str]) -> Terminal:
    """The terminal on this stream; in colour where a person looks at it, or asks for it (no-color.org)."""
    try:
        person = stream is not None and (stream.isatty() or bool(environ.get("FORCE_COLOR")))
    except ValueError:  # closed
        return Terminal(None, colour=False)
    return Terminal(stream, colour=person and not environ.get("NO_COLOR"))


def standard_terminal(environ: Mapping[str, str]) -> Terminal:
    """The terminal on standard output."""
    return terminal(sys.stdout, environ)


def concerns_operator(line: str, mood: Mood = Mood.RUNNING) -> bool:
    """Whether a line of a child is a warning or an error, or anything unexpected."""
    if mood.value is None:
        return False
    if not line.startswith("{"):
        return bool(line.strip()) and not any(pattern.match(line) for pattern in CHATTER)
    try:
        entry = json.loads(line)
    except ValueError:
        return True
    if not isinstance(entry, dict):
        return True
    return entry.get("level") not in mood.value and not KNOWN.match(str(entry.get("event")))


@dataclass
class Lines:
    """Cuts a stream of bytes into lines of bounded length."""

    rest: bytes = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete with this data; a longer line than the bound is cut."""
        *complete, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST_LINE:
            complete.append(self.rest)
            self.rest = b""
        return [line[:LONGEST_LINE].decode(errors="replace").rstrip("\r") for line in complete]

    def last(self) -> list[str]:
        """What stands after the last line end, where the stream ends."""
        return self.feed(b"\n") if self.rest else []


class Log(Protocol):
    """Where bytes are kept; OSError where they cannot be."""

    def write(self, data: bytes, /) -> object: ...


@dataclass
class ChildOutput:
    """Where one child's output goes. A line that repeats at each restart is shown once."""

    name: str
    terminal: Terminal
    log: Log
    verbose: bool
    mood: Mood = Mood.STARTING
    _lines: Lines = field(default_factory=Lines)
    _shown: set[str] = field(default_factory=set)

    def write(self, data: bytes) -> None:
        try:
            self.log.write(data)
        except OSError as error:  # a full disk must not stop the reader: the child would block on its pipe
            self.once(f"cannot write its log: {error.strerror}")
        for line in self._lines.feed(data):
            self._show(line)

    def end(self) -> None:
        """The child is gone: its unfinished line is a line."""
        for line in self._lines.last():
            self._show(line)

    def once(self, text: str) -> None:
        """A line on the terminal, unless it already stands there since `forget`."""
        if text not in self._shown:
            if len(self._shown) >= MOST_REMEMBERED:
                self._shown.clear()
            self._shown.add(text)
            self.terminal.labelled(self.name, text)

    def forget(self) -> None:
        """The child was well: what it says from now on is news."""
        self._shown.clear()

    def _show(self, line: str) -> None:
        if self.verbose:
            self.terminal.labelled(self.name, line)
        elif concerns_operator(line, self.mood):
            self.once(line)
