"""docs/limits.md: its numbers are those of the code, its example compiles, and its ids are those of rules."""

import re
from pathlib import Path

import yaml

from control_plane.config import values
from ratelimit_service.limiter import WARN_FROM
from ratelimit_service.policy import LEASE_SECONDS
from ratelimit_service.windows import SUB_WINDOWS
from tests.support.compiled import compiled, config

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text()
TEXT = " ".join(PAGE.split())


def test_numbers_are_those_of_the_code() -> None:
    assert f"counted in {SUB_WINDOWS} sub-windows" in TEXT
    assert f"From {WARN_FROM} % of a quota on" in TEXT
    assert "holds its place for an hour at most" in TEXT
    assert values.duration("1h") == LEASE_SECONDS
    (longer,) = re.findall(r"sub-window longer \((\w+) of a minute\)", TEXT)
    assert values.duration(longer) == 60 / SUB_WINDOWS


def test_its_example_compiles_and_has_the_rules_that_it_names() -> None:
    example = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    upstreams = {name: {"url": "http://127.0.0.1:9001"} for name in ("email", "ollama")}

    gateway = compiled(config(**{**yaml.safe_load(example), "upstreams": upstreams})).gateway

    free = next(plan for plan in gateway.plans if plan.name == "free")
    named = set(re.findall(r"`(plan/free:[\w:+]+)`", PAGE))
    assert {rule.id for rule in (*free.limits, *free.quotas)} & named == {
        "plan/free:minute:subject", "plan/free:concurrent:subject", "plan/free:tokens:month:consumer",
    }  # fmt: skip
