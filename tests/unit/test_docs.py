"""What the pages promise is what the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authz_service.case import Denial
from control_plane.xds.filters.llm.refusal import REFUSED
from control_plane.xds.local_reply import REPLIES

ROOT = Path(__file__).resolve().parents[2]
# Verdicts whose first argument is a reason.
REASONED = ("TokenRefused", "UnusableCertificate", "Dead")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def test_every_error_code_is_explained():
    explained = set(re.findall(r"^\| [^|]+ \| `(\w+)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    sources = "\n".join(path.read_text() for path in (ROOT / "authz_service").rglob("*.py"))
    written = re.findall(r'Denial\(\s*\d+,\s*"(\w+)"', sources)
    ledger = "\n".join(path.read_text() for path in (ROOT / "usage_ledger").rglob("*.py"))
    written += re.findall(r'_error\(request, \d+, "(\w+)"', ledger)
    from_tokens = re.findall(r'^(?:INVALID|EXPIRED|PREMATURE|AUDIENCE|CLAIM)\b.*= "(\w+)"', sources, re.MULTILINE)

    assert len(from_tokens) == 5
    assert explained == {reply.code for reply in (*REPLIES, REFUSED)} | set(from_tokens) | set(written)
    assert Denial.__doc__


def test_every_reason_of_a_refusal_is_explained():
    """Also those whose beginning or end is put together where they are raised."""
    explained = (ROOT / "docs/authorization.md").read_text().partition("## Finding a decision")[2]
    sources = [path for path in (ROOT / "authz_service").rglob("*.py") if "oauth" not in path.parts]
    reasons = {reason for path in sources for reason in _reasons(ast.parse(path.read_text()))}

    assert len(reasons) > 20
    assert [reason for reason in sorted(reasons) if reason not in explained] == []


def _reasons(tree: ast.Module) -> Iterator[str]:
    """What the log says of a refusal, where it is one word."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        given = call.args[:1] if getattr(call.func, "id", "") in REASONED else []
        given += [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
        for constant in (node for value in given for node in ast.walk(value) if isinstance(node, ast.Constant)):
            if isinstance(constant.value, str) and re.fullmatch(r"\w+", constant.value):
                yield constant.value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", [ROOT / "docs/contracts.md"], ids=lambda page: page.name)
def test_named_files_exist(page: Path):
    named = re.findall(r"`((?:tests|xds)/[\w/.]+)`", page.read_text())

    assert named
    missing = [name for name in named if not any((ROOT / base / name).exists() for base in ("", "control_plane"))]
    assert missing == []
