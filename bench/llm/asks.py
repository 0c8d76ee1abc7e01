"""What is asked of a model, in the two languages of clients, and how the right answer to it looks.

The prompt tells the provider how to answer, so that whatever stands between passes it on: how many chunks, and how
many milliseconds apart. Each chunk's text is its number and when it was sent, by the clock that all processes share.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.llm.effort import CHUNKS

# The client's word for the model, and the upstream's.
MODEL, THEIR_MODEL = "bench", "bench-upstream"
PADDING = "x" * 1000
MOST_TOKENS = 256
MICROSECONDS = 1e6
# What is found in a prompt, and in a chunk: wherever there is JSON, after `:` there may be a space.
ASKED = re.compile(rb"chunks=(\d+) pause=(\d+)")
STREAMED = re.compile(rb'"stream": ?true')
STAMP = re.compile(rb'"content": ?"(\d{4}) (\d{16}) "')


@dataclass(frozen=True)
class Dialect:
    """A client's language: where it asks, what of all answers and beside that of streams, and what they hold."""

    path: str
    asks: Mapping[str, object]
    asks_of_streams: Mapping[str, object]
    tells: tuple[str, ...]
    ends_streams: str


OPENAI = Dialect(
    path="/v1/chat/completions",
    asks={"max_tokens": MOST_TOKENS},
    asks_of_streams={"stream_options": {"include_usage": True}},
    tells=(r'"completion_tokens": ?%d\b',),
    ends_streams=r"data: \[DONE\]\n\n$",
)
OLLAMA = Dialect(
    path="/api/chat",
    asks={"options": {"num_predict": MOST_TOKENS}},
    asks_of_streams={},
    tells=(r'"eval_count": ?%d\b', r'"done": ?true\b'),
    ends_streams=r"\}\n$",
)


@dataclass(frozen=True)
class Ask:
    """One kind of call. `pause` are milliseconds between chunks; without them each follows at once."""

    dialect: Dialect
    streamed: bool = field(default=True, kw_only=True)
    chunks: int = CHUNKS
    pause: int = 0

    def request(self, port: int, token: str) -> bytes:
        """As it goes over the wire."""
        prompt = f"chunks={self.chunks} pause={self.pause} {PADDING}"
        asked = {**self.dialect.asks, **(self.dialect.asks_of_streams if self.streamed else {})}
        messages = [{"role": "user", "content": prompt}]
        body = json.dumps({"model": MODEL, "messages": messages, "stream": self.streamed, **asked}).encode()
        head = (
            f"POST {self.dialect.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    @property
    def stamps(self) -> int:
        """Chunks of the answer."""
        return self.chunks if self.streamed else 0

    def missing(self, rest: bytes) -> str | None:
        """What should stand behind the last chunk, or in a whole answer, and does not."""
        told = [pattern % self.chunks if "%d" in pattern else pattern for pattern in self.dialect.tells]
        text = rest.decode()
        last = self.dialect.ends_streams if self.streamed else f'"content": ?"{words(self.chunks)}"'
        return next((pattern for pattern in (*told, last) if re.search(pattern, text) is None), None)


def stamp(number: int, seconds: float) -> str:
    """The text of a chunk that is sent now; `STAMP` finds it again."""
    return f"{number:04} {int(seconds * MICROSECONDS):016} "


def words(count: int) -> str:
    """The text of a whole answer."""
    return " ".join(["word"] * count)
