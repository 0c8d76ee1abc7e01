"""The Dockerfile: fixed bases, packages by hash, no root and no trace of a package index in what is shipped."""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tollgate_cli.container.__main__ import parsed

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
SHIPPED = ("python", "envoy", "all")
BUILT = ("packages", "python-packages", "envoy-package", "envoy-modules")
BASE = re.compile(r"python:3\.12-slim-bookworm|debian:bookworm-slim")
URL = re.compile(r"https?://([^/\s:]+)")


@dataclass(frozen=True)
class Stage:
    """One FROM and the instructions below it, continued lines joined."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, *names: str) -> list[str]:
        return [argument for name, argument in self.instructions if name in names]


def stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for part in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]:
        head, *lines = part.splitlines()
        base, _, name = head.split()
        found[name] = Stage(
            name, base, tuple((word, rest) for word, _, rest in (line.partition(" ") for line in lines))
        )
    return found


STAGES = stages()


def lineage(stage: Stage) -> list[Stage]:
    """The stage and those it is made from, the last first."""
    return [stage, *(lineage(STAGES[stage.base]) if stage.base in STAGES else [])]


def test_every_stage_is_shipped_or_builds():
    assert STAGES.keys() == {*SHIPPED, *BUILT, "base"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_starts_from_another_one_or_from_a_fixed_base(name):
    assert STAGES[name].base in STAGES or BASE.fullmatch(STAGES[name].base)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_ends_as_a_user_that_is_a_number_and_not_root(name):
    users = [user for stage in lineage(STAGES[name]) for user in reversed(stage.all("USER"))]

    assert users[0] == "10001:10001"


@pytest.mark.parametrize("name", SHIPPED)
def test_what_it_ships_is_installed_elsewhere(name):
    runs = [run for stage in lineage(STAGES[name]) for run in stage.all("RUN")]

    assert not [run for run in runs if re.search(r"\b(pip|apt-get|curl|wget|gcc)\b", run)]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_says_what_it_is_how_to_stop_it_and_how_it_is(name):
    line = lineage(STAGES[name])

    assert any("org.opencontainers.image.version" in label for stage in line for label in stage.all("LABEL"))
    assert [stop for stage in line for stop in stage.all("STOPSIGNAL")] == ["SIGTERM"]
    assert any(stage.all("HEALTHCHECK") for stage in line)


def test_envoy_is_asked_beside_what_it_serves():
    (check,) = STAGES["envoy"].all("HEALTHCHECK")

    assert f'"envoy", "{parsed(["run"], {})[1].admin}"' in check


def test_packages_are_checked_against_their_hashes():
    script = (ROOT / "deploy" / "docker" / "install.sh").read_text()
    installs = [line for line in script.splitlines() if " install " in line]

    assert installs
    assert all("--require-hashes" in line and "--no-deps" in line and ":all:" in line for line in installs)


def test_the_project_is_built_without_a_package_index():
    (build,) = [run for run in STAGES["python-packages"].all("RUN") if " install " in run and "install.sh" not in run]

    assert "--no-index" in build
    assert "--no-build-isolation" in build


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "docker").iterdir()), ids=lambda path: path.name)
def test_no_host_is_named(path):
    assert set(URL.findall(path.read_text())) <= {"127.0.0.1"}


def test_settings_of_an_index_are_mounted_and_never_copied():
    for stage in STAGES.values():
        assert not [
            argument for argument in stage.all("ARG", "ENV") if re.search(r"(?i)index|proxy|token|secret", argument)
        ]
    for run in (run for stage in STAGES.values() for run in stage.all("RUN") if "install.sh requirements" in run):
        assert "type=secret,id=pipconf,target=/etc/pip.conf" in run
        assert "type=secret,id=cabundle" in run


def test_everything_that_is_copied_is_in_the_context():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for stage in STAGES.values()
        for argument in stage.all("COPY")
        if not argument.startswith("--from")
        for source in argument.split()[:-1]
    }

    assert all(source in allowed or str(Path(source).parent) in allowed for source in copied)
    assert {name for name in allowed if not (ROOT / name).exists()} == set()


def test_what_runs_beside_envoy_needs_no_package():
    """-S leaves out site-packages, and -I the environment: only the standard library and the source are there."""
    modules = "tollgate_cli.container.__main__, tollgate_cli.container.health"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {modules}"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["entrypoint.sh", "install.sh"])
def test_scripts_are_scripts(name):
    path = ROOT / "deploy" / "docker" / name

    assert path.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(path)], check=True)


@pytest.mark.parametrize(
    "path",
    ["deploy/compose/compose.yaml", "deploy/kubernetes/gateway.yaml", "deploy/kubernetes/store.yaml",
     "deploy/kubernetes/kustomization.yaml", "tests/containers/stand_in.compose.yaml", "docs/deploying.md"],
)  # fmt: skip
def test_every_image_that_is_named_has_the_version_of_the_project(path):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = re.findall(r"tollgate(?:-\w+)?(?::|, newTag: )(\d+\.\d+\.\d+)", (ROOT / path).read_text())

    assert set(named) == {version}
