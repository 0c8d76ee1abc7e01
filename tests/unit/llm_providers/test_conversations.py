"""Conversations: `<case>.in.json` is what a client asks and an upstream answers, `<case>.out.json` what comes of it.

`--update-golden` rewrites what comes of it; read the difference line by line. Bodies that are no single object stand as
lists of lines.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_providers.asked import Untranslatable
from llm_providers.translation import Answered, Call, Translator
from tests.support.clock import StillClock
from tests.support.translators import translator_between

CASES = sorted((Path(__file__).parent / "conversations").glob("*.in.json"))


def _name(path: Path) -> str:
    return path.name.removesuffix(".in.json")


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_conversation(case: Path, request: pytest.FixtureRequest) -> None:
    told = _told(json.loads(case.read_text()))
    expected = case.with_name(f"{_name(case)}.out.json")

    if request.config.getoption("--update-golden"):
        assert "CI" not in os.environ
        expected.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    assert told == json.loads(expected.read_text())


def test_no_outcome_without_its_case() -> None:
    folder = Path(__file__).parent / "conversations"
    assert {path.name.removesuffix(".out.json") for path in folder.glob("*.out.json")} == {
        _name(case) for case in CASES
    }


def _told(case: Mapping[str, Any]) -> dict[str, object]:
    call = Call(StillClock(), "r1", model=case.get("model", ""), drop_unsupported=case.get("drop_unsupported", False))
    translation = translator_between(case["client"], case["upstream"], call)
    asked = case["asked"]
    translation.asked_as("request-1")
    try:
        sent = translation.begin(asked["path"], json.dumps(asked["body"]).encode())
    except Untranslatable as problem:
        return {"refused": _answered(translation.error(problem))}
    if isinstance(sent, Answered):
        return {"answered": _answered(sent)}
    told = {"path": sent.path, "body": json.loads(sent.body)}
    return {"sent": told, **_answer(translation, case.get("answer"))}


def _answered(answered: Answered) -> dict[str, object]:
    body = answered.body.decode().splitlines()
    return {"status": answered.status, "content_type": answered.content_type, "body": body}


def _answer(translation: Translator, answer: Mapping[str, Any] | None) -> dict[str, object]:
    if answer is None:
        return {}
    head = translation.head(answer["status"], answer["content_type"])
    out = translation.feed(_bytes(answer["body"])) + translation.end()
    told = {"status": translation.status, "content_type": head.content_type, "body": out.decode().splitlines()}
    return {"answer": told}


def _bytes(body: object) -> bytes:
    """An object, or lines: those of a stream of events are parted by blank lines."""
    if isinstance(body, list):
        return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in body).encode()
    return json.dumps(body).encode()
