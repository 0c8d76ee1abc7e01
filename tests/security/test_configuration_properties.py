"""Whatever order a configuration is written in, over however many files, it means the same; whatever happens to its
text, the answer is a configuration or mistakes with places.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.compile import compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.config.expected import expects_entries, expects_keys, expects_names
from tests.support.compiled import WIRING
from tests.support.golden_cases import CASES, ENVIRON, GOLDEN, source, written

GOOD = [case for case in CASES if not (case / "errors.txt").exists()]
TEXTS = [(file, file.read_bytes()) for file in written(CASES)]
TEXT = "tag:yaml.org,2002:str"
# Lists whose order means nothing.
UNORDERED = frozenset(
    {
        "routes", "consumers", "tenants", "jwt", "bearer_tokens", "limits", "quotas", "methods", "hosts", "audiences",
        "scopes", "roles", "per",
    }
)  # fmt: skip
FRAGMENTS = (
    b"", b"\xff", b"\0", b"\t", b"\n", b"- ", b": ", b"|\n", b"{", b"]", b"[[[[", b"'", b'"', b"&a ", b"*a", b"<<: ",
    b"!!x ", b"~", b"#", b"---\n", b"${", b"${X:-", b"0", b"no", b"file:", b"file:in.yaml", b"\xe2\x80\xa8", b"routes",
)  # fmt: skip


class Quoted(str):
    """A text in quotes: `"${NAME:-}"` may be empty, and without them may not."""

    __slots__ = ()


class Written(yaml.SafeDumper):
    """Writes in quotes what stood in quotes."""


Written.add_representer(Quoted, lambda dumper, text: dumper.represent_scalar(TEXT, text, style='"'))


class Words(yaml.SafeLoader):
    """Keeps quotes, and `on` a word, which is a key of this language, and a truth value of YAML 1.1."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library declares it
        first: [(tag, words) for tag, words in resolvers if not (first in "oO" and tag.endswith(":bool"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Words.add_constructor(TEXT, lambda loader, node: (Quoted if node.style else str)(loader.construct_scalar(node)))


def compiled(path: Path) -> Mapping[str, bytes]:
    """Every resource of the configuration as bytes."""
    return {
        f"{item.type_url} {item.name}": item.body
        for snapshot in snapshots(compile_file(path, ENVIRON).gateway, WIRING)
        for named in snapshot.resources.values()
        for item in named.values()
    }


@cache
def expected(case: Path) -> Mapping[str, bytes]:
    return compiled(source(case))


@contextmanager
def beside(file: Path) -> Iterator[Path]:
    """A folder in the place of this file's, with the files that it may name."""
    with tempfile.TemporaryDirectory(prefix="case") as root:
        place = file.parent.relative_to(GOLDEN)
        folder = Path(root) / place
        folder.mkdir(parents=True)
        for other in GOLDEN.iterdir():
            if other.is_dir() and other.name != place.parts[0]:
                (Path(root) / other.name).symlink_to(other)
        for other in file.parent.iterdir():
            if other.is_file() and other.suffix not in (".yaml", ".yml"):
                shutil.copy(other, folder)
        yield folder


def shuffled(node: Any, order: random.Random, key: object = None) -> Any:
    """The same in another order, where order means nothing."""
    if isinstance(node, dict):
        keys = order.sample(list(node), len(node))
        return {name: shuffled(node[name], order, name) for name in keys}
    if isinstance(node, list):
        items = order.sample(node, len(node)) if key in UNORDERED else node
        return [shuffled(item, order) for item in items]
    return node


def split(node: Any, path: tuple[str | int, ...], parts: int, order: random.Random) -> list[Any]:
    """The value over several files: each part is a value or None."""
    found: list[Any] = [None] * parts
    if isinstance(node, dict) and (expects_keys(path) or expects_names(path)) and not expects_names(path[:-1]):
        for key, value in node.items():
            for index, part in enumerate(split(value, (*path, key), parts, order)):
                if part is not None:
                    found[index] = {**(found[index] or {}), key: part}
    elif isinstance(node, list) and expects_entries(path):
        for item in node:
            index = order.randrange(parts)
            found[index] = [*(found[index] or []), item]
    elif path == ("version",):
        return [node if index == 0 or order.random() < 0.5 else None for index in range(parts)]
    if all(part is None for part in found):
        found[order.randrange(parts)] = node
    return found


@given(case=st.sampled_from(GOOD), order=st.randoms(use_true_random=False), parts=st.integers(1, 5))
@settings(deadline=None, max_examples=120)
def test_order_and_files_mean_nothing(case: Path, order: random.Random, parts: int) -> None:
    files = [yaml.load(file.read_text(), Words) or {} for file in written([case])]
    if len(files) == 1:
        files = [part or {} for part in split(shuffled(files[0], order), (), parts, order)]

    with beside(next(written([case]))) as folder:
        for index, content in enumerate(files):
            text = yaml.dump(shuffled(content, order), Dumper=Written, sort_keys=False) if content else "# nothing\n"
            (folder / f"{order.randrange(100)}-{index}.yaml").write_text(text)

        assert compiled(folder) == expected(case)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Path, bytes]:
    """A known text with a few accidents."""
    file, content = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(ACCIDENTS))(draw, content)
    return file, content


def flipped(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    return content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]


def replaced(draw: st.DrawFn, content: bytes) -> bytes:
    at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 12))
    return content[:at] + draw(st.sampled_from(FRAGMENTS)) + content[at + length :]


def truncated(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def without_a_line(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    at = draw(st.integers(0, len(lines)))
    return b"".join(lines[:at] + lines[at + 1 :])


def with_a_line_twice(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    at, other = draw(st.integers(0, len(lines))), draw(st.integers(0, len(lines)))
    return b"".join(lines[:at] + lines[other : other + 1] + lines[at:])


def with_another_value(draw: st.DrawFn, content: bytes) -> bytes:
    """One `: value` has the value of another key."""
    pieces = content.split(b": ")
    if len(pieces) < 2:
        return content
    at, other = draw(st.integers(1, len(pieces) - 1)), draw(st.integers(1, len(pieces) - 1))
    pieces[at] = pieces[other]
    return b": ".join(pieces)


ACCIDENTS = (flipped, replaced, truncated, without_a_line, with_a_line_twice, with_another_value)


@given(mutated())
@settings(deadline=None, max_examples=800)
def test_no_accident_is_more_than_a_list_of_mistakes(accident: tuple[Path, bytes]) -> None:
    file, content = accident
    with beside(file) as folder:
        (folder / "in.yaml").write_bytes(content)
        try:
            found = compile_file(folder / "in.yaml", ENVIRON)
        except InvalidConfig as refused:
            places = [error.location for error in refused.errors]
        else:
            assert snapshots(found.gateway, WIRING)
            return
    assert places
    assert all(place.line >= 1 and place.column >= 1 for place in places)
