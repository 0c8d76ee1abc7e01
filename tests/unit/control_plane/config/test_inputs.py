"""A configuration is made again from what was read for it, without the disk and without the environment."""

import shutil
from pathlib import Path

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.config.inputs import Inputs, source_digest
from control_plane.config.load import Known, load, load_inputs, load_texts
from tests.support.certificates import Authority
from tests.support.compiled import config, written
from tests.support.golden_cases import CASES, ENVIRON, GOLDEN, source

GOOD = [case for case in CASES if not (case / "errors.txt").exists()]
CERTIFICATES = GOLDEN / "certificates"
ROUTE = "version: 1\nroutes: [{{name: {0}, match: {{path: /{0}}}, upstream: api, auth: none}}]\n"
SECRETS = """version: 1
listeners: {public: {address: 0.0.0.0:8800}}
upstreams: {api: {url: "http://api:80"}}
identity:
  bearer_tokens:
    - {name: a, token: "file:token"}
    - {name: b, token: "${TOKEN}"}
    - {name: c, token: "${UNSET:-defaulted-token-1}"}
"""


def copied(case: Path, golden: Path) -> Path:
    """The case, with the certificates that cases name, at a place from which it can be removed."""
    shutil.copytree(CERTIFICATES, golden / "certificates")
    return source(Path(shutil.copytree(case, golden / case.relative_to(GOLDEN), dirs_exist_ok=True)))


@pytest.mark.parametrize("case", GOOD, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_what_was_read_makes_the_same_configuration_when_it_is_gone(case: Path, tmp_path: Path, monkeypatch) -> None:
    golden = tmp_path / "golden"
    environ = {**ENVIRON, "SSL_CERT_FILE": str(golden / "certificates" / "system.crt")}
    loaded = load(copied(case, golden), environ)
    shutil.rmtree(golden)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    again = load_inputs(loaded.inputs)

    assert again.config == loaded.config
    assert again.referenced == loaded.referenced
    assert again.inputs == loaded.inputs
    assert again.files == {}


def secrets(directory: Path) -> Path:
    (directory / "token").write_text("token-in-a-file-1")
    path = directory / "c.yaml"
    path.write_text(SECRETS)
    return path


def test_only_the_variables_that_were_used_are_kept(tmp_path: Path) -> None:
    path = secrets(tmp_path)
    inputs = load(path, {"TOKEN": "token-in-a-variable", "OTHER": "x"}).inputs

    assert inputs.variables == {"TOKEN": "token-in-a-variable"}
    assert inputs.texts == {path: SECRETS.encode()}
    assert inputs.referenced == {tmp_path / "token": b"token-in-a-file-1"}


def test_what_is_known_from_before_is_among_them_all_the_same(tmp_path: Path) -> None:
    """Whatever is not parsed and validated again was read and asked for again."""
    secrets(tmp_path)
    environ = {"TOKEN": "token-in-a-variable"}
    known = Known()
    load(tmp_path, environ, known)
    (tmp_path / "b.yaml").write_text(ROUTE.format("b"))

    assert load(tmp_path, environ, known).inputs == load(tmp_path, environ).inputs


def test_nothing_of_them_shows(tmp_path: Path) -> None:
    loaded = load(secrets(tmp_path), {"TOKEN": "token-in-a-variable"})

    shown = repr(loaded.inputs) + repr(loaded.inputs.given)
    assert "token-in" not in shown


def test_the_preset_is_its_variables() -> None:
    environ = {"GATEWAY_BEARER_TOKEN": "b" * 16, "GATEWAY_PORT": "8811", "USER_DB_PATH": "/x", "HOME": "/root"}
    loaded = load(None, environ)

    again = load_inputs(loaded.inputs)

    assert loaded.inputs.path is None
    assert "HOME" not in loaded.inputs.variables
    assert (again.config, again.warnings) == (loaded.config, loaded.warnings)


def test_the_authorities_of_the_machine_are_among_them(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Authority().pem)
    path = written(tmp_path, config(upstreams={"api": {"url": "https://api.example.com"}}))
    loaded = load(path, {"SSL_CERT_FILE": str(bundle)})
    bundle.unlink()

    assert load_inputs(loaded.inputs).referenced == loaded.referenced


def test_a_file_that_was_not_read_is_not_read_later(tmp_path: Path) -> None:
    path = secrets(tmp_path)
    inputs = load(path, {"TOKEN": "token-in-a-variable"}).inputs

    with pytest.raises(InvalidConfig, match="could not be read at the time"):
        load_inputs(Inputs(path, inputs.texts, {}, inputs.variables))


def test_a_name_that_is_no_text_comes_back(tmp_path: Path) -> None:
    directory = tmp_path / "d\udcff"
    directory.mkdir()
    loaded = load(secrets(directory), {"TOKEN": "token-in-a-variable"})

    assert load_inputs(loaded.inputs).config == loaded.config
    assert loaded.inputs.digest


def test_texts_take_the_place_of_the_files_and_of_nothing_else(tmp_path: Path) -> None:
    path = secrets(tmp_path)
    texts = {str(path): path.read_bytes()}
    path.write_text("broken: [")
    (tmp_path / "token").write_text("token-in-a-file-2")

    loaded = load_texts(path, texts, {"TOKEN": "another-variable"})

    tokens = [item.token.get_secret_value() for item in loaded.config.identity.bearer_tokens]
    assert tokens == ["token-in-a-file-2", "another-variable", "defaulted-token-1"]
    assert set(loaded.files) == {tmp_path / "token"}


def test_texts_of_a_directory_are_all_its_files(tmp_path: Path) -> None:
    base = config(upstreams={"api": {"url": "http://api:80"}}, routes=[])
    written(tmp_path, base)
    (tmp_path / "a.yaml").write_text(ROUTE.format("a"))
    loaded = load(tmp_path, {})
    texts = {str(file): text for file, text in loaded.inputs.texts.items()}
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "b.yaml").write_text(ROUTE.format("b"))

    assert load_texts(tmp_path, texts, {}).config == loaded.config


@pytest.mark.parametrize("changed", ["text", "secret", "variable", "name"])
def test_the_digest_tells_any_difference(changed: str, tmp_path: Path) -> None:
    def digests(directory: str, *, secret: str = "", variable: str = "", comment: str = "") -> tuple[str, str]:
        place = tmp_path / directory
        place.mkdir(exist_ok=True)
        path = secrets(place)
        path.write_text(SECRETS + comment)
        (place / "token").write_text("token-in-a-file-1" + secret)
        inputs = load(path, {"TOKEN": "token-in-a-variable" + variable}).inputs
        assert inputs.source_digest == source_digest(path)
        return inputs.digest, inputs.source_digest

    before = digests("a")
    after = {
        "text": lambda: digests("a", comment="# new"),
        "secret": lambda: digests("a", secret="x"),
        "variable": lambda: digests("a", variable="x"),
        "name": lambda: digests("b"),
    }[changed]()

    assert digests("a") == before
    assert after[0] != before[0]
    assert (after[1] != before[1]) == (changed in {"text", "name"})


def test_the_digest_of_a_source_does_not_ask_whether_it_is_any_good(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("broken: [")
    before = source_digest(tmp_path)
    (tmp_path / "b.yaml").write_text("")

    assert source_digest(tmp_path) != before
    assert source_digest(None) == source_digest(None) == Inputs().source_digest
    assert source_digest(tmp_path / "none") != source_digest(None)
