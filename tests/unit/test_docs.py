"""What the pages promise is what the code has."""

import re
from pathlib import Path

import pytest

from authz_service.case import Denial
from control_plane.xds.local_reply import REPLIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def test_every_error_code_is_explained():
    explained = set(re.findall(r"^\| [^|]+ \| `(\w+)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    sources = "\n".join(path.read_text() for path in (ROOT / "authz_service").rglob("*.py"))
    written = re.findall(r'Denial\(\s*\d+,\s*"(\w+)"', sources)
    from_tokens = re.findall(r'^(?:INVALID|EXPIRED|PREMATURE|AUDIENCE|CLAIM)\b.*= "(\w+)"', sources, re.MULTILINE)
    # refusals with 503 reach clients as authorization_unavailable
    inner = {"not_ready", "authorizer_failed", "policy_skew", "undecided"}

    assert len(from_tokens) == 5
    assert explained == {reply.code for reply in REPLIES} | set(from_tokens) | (set(written) - inner)
    assert Denial.__doc__


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
