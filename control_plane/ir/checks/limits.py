"""Plans and limits: references to nothing, and limits that would count the same thing twice."""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir.checks.api_keys import declared_keys
from control_plane.ir.rules import limit_of


def plan_problems(source: config.Config) -> Iterator[Problem]:
    """Plans that are not there, and what is wrong in those that are."""
    yield from _unknown_plans(source)
    for name, plan in source.plans.items():
        yield from repeated_limits(plan.limits, ("plans", name, "limits"))


def _unknown_plans(source: config.Config) -> Iterator[Problem]:
    named: list[tuple[Path, str | None]] = [(("defaults", "plan"), source.defaults.plan)]
    named += [(("consumers", index, "plan"), item.plan) for index, item in enumerate(source.consumers)]
    named += [
        (("identity", "bearer_tokens", index, "plan"), item.plan)
        for index, item in enumerate(source.identity.bearer_tokens)
    ]
    named += [((*path, "plan"), key.plan) for path, _, key in declared_keys(source)]
    for path, plan in named:
        if plan is not None and plan not in source.plans:
            yield Problem(
                path, f"there is no plan {plan!r}", did_you_mean(plan, source.plans) or "declare it in `plans`"
            )


def repeated_limits(limits: tuple[config.Limit, ...], path: Path) -> Iterator[Problem]:
    """Limits of one owner that count the same thing over the same period."""
    seen: set[str] = set()
    for index, limit in enumerate(limits):
        rule = limit_of(limit, "").id
        if rule in seen:
            yield Problem((*path, index), "two limits have the same period and the same `per`", "keep the lower one")
        seen.add(rule)
