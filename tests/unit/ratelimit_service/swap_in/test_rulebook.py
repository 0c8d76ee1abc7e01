"""Files that change are taken; files that cannot be used change nothing."""

import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.swap_in.metrics import SwapInMetrics
from ratelimit_service.swap_in.mistakes import InvalidRules
from ratelimit_service.swap_in.rulebook import Rulebook


class Bench:
    def __init__(self, path):
        self.registry = CollectorRegistry()
        self.lines = structlog.testing.LogCapture()
        log = structlog.wrap_logger(None, processors=[self.lines])
        metrics = SwapInMetrics(self.registry, near_limit=0.8)
        self.book = Rulebook(path, merge_domains=False, metrics=metrics, log=log)

    @property
    def domains(self):
        return sorted(self.book.current.domains)

    def loads(self, result):
        return self.registry.get_sample_value("tollgate_ratelimit_swap_in_config_loads_total", {"result": result})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.yaml").write_text("domain: first")
    return tmp_path


def test_all_yaml_files_below_the_directory(folder):
    for name in ("b.yml", "notes.txt", ".hidden.yaml", "more/deep/c.yaml", "..data/d.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"domain: {name}")

    assert Bench(folder).domains == ["b.yml", "first", "more/deep/c.yaml"]


def test_one_file_of_any_name(folder):
    (folder / "limits.conf").write_text("domain: one")

    assert Bench(folder / "limits.conf").domains == ["one"]


async def test_a_change_is_taken(folder):
    bench = Bench(folder)

    (folder / "b.yaml").write_text("domain: second")
    await bench.book.look()
    added = bench.domains
    (folder / "a.yaml").unlink()
    await bench.book.look()
    await bench.book.look()

    assert (added, bench.domains) == (["first", "second"], ["second"])
    assert (bench.loads("success"), bench.loads("error")) == (3, 0)


async def test_a_symbolic_link_on_the_way_is_followed_when_it_is_swapped(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name / "config").mkdir(parents=True)
        (tmp_path / name / "config" / "a.yaml").write_text(f"domain: {name}")
    (tmp_path / "current").symlink_to("old")
    bench = Bench(tmp_path / "current" / "config")
    before = bench.domains

    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "current")
    await bench.book.look()

    assert (before, bench.domains) == (["old"], ["new"])


async def test_bad_files_change_nothing_until_they_are_cured(folder):
    bench = Bench(folder)

    (folder / "a.yaml").write_text("domain: first\nlimits: []")
    await bench.book.look()
    kept = bench.domains
    (folder / "a.yaml").write_text("domain: cured")
    await bench.book.look()

    assert (kept, bench.domains, bench.loads("error")) == (["first"], ["cured"], 1)
    [line] = [line for line in bench.lines.entries if line["log_level"] == "error"]
    assert line["mistakes"] == [
        f"{folder}/a.yaml:2:1: there is no key `limits`; write one of descriptors, domain"
    ]  # fmt: skip


async def test_files_that_vanish_change_nothing(folder):
    bench = Bench(folder)

    (folder / "a.yaml").rename(folder / "a.yaml.old")
    await bench.book.look()

    assert (bench.domains, bench.loads("error")) == (["first"], 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [("empty", "there is no .yaml file in it"), ("missing", "cannot be read: No such file or directory")],
)
def test_nothing_to_begin_with(tmp_path, name, words):
    (tmp_path / "empty").mkdir()

    with pytest.raises(InvalidRules, match=words):
        Bench(tmp_path / name)
