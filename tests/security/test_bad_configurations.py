"""Texts that are made to exhaust their reader are a short list of mistakes, in bounded time and memory; so is anything
that an accident makes of several files. (For single accidents see test_configuration_properties.py.)
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.compile import Compiler, compile_file, snapshots
from control_plane.config import document
from control_plane.config.document import MOST_VALUES
from control_plane.config.errors import MOST_MISTAKES, InvalidConfig
from control_plane.config.scalars import MOST_REFERENCES
from tests.security.test_configuration_properties import ACCIDENTS, TEXTS, beside
from tests.support.compiled import WIRING
from tests.support.golden_cases import ENVIRON

HEAD = "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\n"
MIB = 1 << 20
# Of address space, some 400 of which are libraries; and seconds of processor time, on a slow machine.
MOST_MEMORY = 2_500 * MIB
MOST_TIME = 60

READER = """
import json, resource, sys
from pathlib import Path
from control_plane.checked import Checker
from control_plane.config.errors import InvalidConfig
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
try:
    Checker().read(Path(sys.argv[1]), {"LONG": 60_000 * "x"})
except InvalidConfig as refused:
    print(json.dumps([str(error) for error in refused.errors]))
"""


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join(10 * [f'*a{level - 1}'])}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("[" * 16_000_000, "nesting is deeper than 64 levels", id="deep-list"),
        pytest.param("{a: " * 4_000_000, "nesting is deeper than 64 levels", id="deep-mapping"),
        pytest.param("? " * 4_000_000, "nesting is deeper than 64 levels", id="deep-keys"),
        pytest.param(HEAD + _bomb(9), "aliases stand for more than", id="aliases"),
        pytest.param(HEAD + "routes: &a [*a]", "contains itself", id="alias-of-itself"),
        pytest.param(HEAD + "routes: [" + "[]," * (MOST_VALUES + 1) + "]", f"more than {MOST_VALUES}", id="values"),
        pytest.param(HEAD + "routes:\n" + "- a\n" * (MOST_VALUES // 5), "more mistakes", id="entries-that-are-none"),
        pytest.param(HEAD + "routes:\n" + "- !x a\n" * 200_000, "more mistakes", id="tags"),
        pytest.param("a: 1\n" * 200_000, "more mistakes", id="one-key-again-and-again"),
        pytest.param("".join(f"k{n}: 1\n" for n in range(20_000)), "more mistakes", id="unknown-keys"),
        pytest.param(HEAD + "plans: '" + "${LONG}" * 2_000_000 + "'", f"than {MOST_REFERENCES} var", id="variables"),
        pytest.param(HEAD + f"routes: ['{'${LONG}' * 200}'" + f", '{'${LONG}' * 200}'" * 50 + "]",
                     "variables make the configuration larger", id="variables-in-all"),
        pytest.param(HEAD + "routes: " + "a" * 15_000_000, "expected a list", id="long-text"),
        pytest.param(HEAD + "x" * 17_000_000, "is larger than 16 MiB", id="large"),
    ],
)  # fmt: skip
def test_a_text_that_is_made_to_exhaust_its_reader(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(content)
    command = [sys.executable, "-c", READER, str(file), str(MOST_MEMORY), str(MOST_TIME)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * MOST_TIME)

    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert len(errors) <= MOST_MISTAKES + 1
    assert all(error.startswith(f"{file}:") for error in errors)
    assert any(words in error for error in errors)


def test_values_of_several_files_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_VALUES", 100)
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("routes: [" + "{}," * 60 + "]")

    with pytest.raises(InvalidConfig, match=r"b\.yaml:1:1: the files of the directory hold more than 100 values"):
        compile_file(tmp_path, {})


@st.composite
def sequence_of_accidents(draw: st.DrawFn) -> tuple[Path, list[bytes]]:
    """What an editor may save one after the other."""
    file, content = draw(st.sampled_from(TEXTS))
    accidents = draw(st.lists(st.sampled_from(ACCIDENTS), min_size=1, max_size=4))
    return file, [accident(draw, content) for accident in accidents] + [content]


def _outcome(read: Any) -> object:
    """All resources, or all mistakes with their places."""
    try:
        return read()
    except InvalidConfig as refused:
        return refused.errors


@given(sequence_of_accidents())
@settings(deadline=None, max_examples=15)
def test_accidents_leave_nothing_behind_in_the_compiler(edits: tuple[Path, list[bytes]]) -> None:
    """A compiler that has read whatever it was says of the next text what one says that has read nothing."""
    file, contents = edits
    compiler = Compiler(WIRING)
    with beside(file) as folder:
        for content in contents:
            (folder / "in.yaml").write_bytes(content)

            kept = _outcome(lambda: compiler.release(compiler.read(folder / "in.yaml", ENVIRON).gateway).envoy)
            fresh = _outcome(lambda: snapshots(compile_file(folder / "in.yaml", ENVIRON).gateway, WIRING)[0])
            assert kept == fresh
            assert kept
