"""How many pods there are, and how many may be missing."""

from collections.abc import Iterator
from pathlib import Path

from tests.support.manifests.documents import Check, Document, Manifests, place


def autoscalers(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        target = manifests.named(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
        if not 1 <= spec.get("minReplicas", 1) <= spec["maxReplicas"]:
            yield f"{place(scaler)}: minReplicas is not between 1 and maxReplicas"
        if target is None or target["apiVersion"] != spec["scaleTargetRef"]["apiVersion"]:
            yield f"{place(scaler)}: there is no {spec['scaleTargetRef']['kind']} {spec['scaleTargetRef']['name']}"
        elif "replicas" in target["spec"]:
            yield f"{place(target)}: each apply would undo what {place(scaler)} has decided"


def disruption_budgets(manifests: Manifests, _folder: Path) -> Iterator[str]:
    for budget in manifests.of("PodDisruptionBudget"):
        least, most = budget["spec"].get("minAvailable"), budget["spec"].get("maxUnavailable")
        if (least is None) == (most is None):
            yield f"{place(budget)}: needs either minAvailable or maxUnavailable"
        elif most in (0, "0%") or least == "100%" or (isinstance(least, int) and least >= _fewest(manifests, budget)):
            yield f"{place(budget)}: no pod may ever go, so that no node can be emptied"


def _fewest(manifests: Manifests, budget: Document) -> int:
    """The fewest pods that a workload under the budget has."""
    (pod,) = manifests.pods_with(budget["spec"]["selector"]["matchLabels"])
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        if pod.place == f"{scaler['spec']['scaleTargetRef']['kind']} {scaler['spec']['scaleTargetRef']['name']}":
            return int(scaler["spec"].get("minReplicas", 1))
    return 1


CHECKS: tuple[Check, ...] = (autoscalers, disruption_budgets)
