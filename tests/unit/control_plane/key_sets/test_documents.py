import asyncio
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from control_plane.key_sets.documents import LARGEST_DOCUMENT, PublishedDocuments
from control_plane.key_sets.network import resolved
from control_plane.polling.answers import Unavailable
from tests.support.certificates import Authority
from tests.support.idp import KEYS, Answer, Idp, answered, endless, redirected, running_idp, silent, trickling

ENDLESS_HEADER = b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000


@pytest.fixture
def idp() -> Iterator[Idp]:
    with running_idp() as found:
        yield found


async def fetched(url: str, *, private: bool = True, longest: float = 5.0) -> bytes:
    return await PublishedDocuments(longest=longest).fetch(url, private=private)


async def test_a_document_is_fetched_as_it_is(idp: Idp):
    assert json.loads(await fetched(idp.keys_url)) == idp.jwks()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(answered(404, ""), "answers 404", id="not-found"),
        pytest.param(answered(204, ""), "answers 204", id="no-content"),
        pytest.param(answered(500, "{}"), "answers 500", id="fault"),
        pytest.param(answered(206, "{}"), "answers 206", id="part"),
        pytest.param(redirected("https://keys.example.com/"), "redirects, which is not followed", id="redirect"),
        pytest.param(answered(307, "", location="/elsewhere"), "redirects", id="redirect-that-keeps-the-method"),
        pytest.param(answered(200, gzip.compress(b" " * 100), content_encoding="gzip"), "answers packed", id="packed"),
        pytest.param(answered(200, b" " * (LARGEST_DOCUMENT + 1)), "more than 1048576 bytes", id="too-large"),
        pytest.param(endless, "more than 1048576 bytes", id="endless"),
        pytest.param(answered(200, "x", content_length="7"), "cannot be fetched", id="cut-off"),
        pytest.param(lambda request: request.wfile.write(b"SSH-2.0-x\r\n\r\n"), "cannot be fetched", id="not-http"),
        pytest.param(lambda request: request.wfile.write(ENDLESS_HEADER), "cannot be fetched", id="endless-header"),
    ],
)
async def test_an_answer_that_is_none(idp: Idp, answer: Answer, reason: str):
    idp.answers[KEYS] = answer

    with pytest.raises(Unavailable, match=reason):
        await fetched(idp.keys_url)
    assert idp.asked.total() == 1


@pytest.mark.parametrize("answer", [silent, trickling])
async def test_the_whole_answer_is_there_in_time(idp: Idp, answer: Answer):
    idp.answers[KEYS] = answer

    with pytest.raises(Unavailable, match="does not answer in"):
        await fetched(idp.keys_url, longest=0.4)


async def test_nobody_listens(idp: Idp):
    idp.stop()

    with pytest.raises(Unavailable, match="cannot be fetched"):
        await fetched(idp.keys_url)


async def test_proxies_of_the_environment_are_not_used(idp: Idp, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.66.0.9:1")

    assert await fetched(idp.keys_url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://keys.example.com/", id="another-scheme"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("https://ada:secret@keys.example.com/", id="password"),
        pytest.param("https://keys.example.com/\r\nx: y", id="line-end"),
        pytest.param("https://keys.example.com/ x", id="space"),
        pytest.param("https://keys.example.com/#x", id="fragment"),
        pytest.param("https://", id="no-host"),
        pytest.param("//keys.example.com/", id="no-scheme"),
        pytest.param("https://keys.example.com:0/", id="port-0"),
        pytest.param("https://keys.example.com:99999/", id="port-too-large"),
        pytest.param("https://[::1/", id="broken-address"),
        pytest.param("https://кeys.example.com/", id="other-alphabet"),
    ],
)
async def test_a_url_that_nothing_is_fetched_from(url: str):
    with pytest.raises(Unavailable) as caught:
        await fetched(url)

    assert "secret" not in str(caught.value)


async def test_plain_http_is_for_private_networks(idp: Idp):
    with pytest.raises(Unavailable, match="plain http"):
        await fetched(idp.keys_url, private=False)
    assert not idp.asked


@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
async def test_tls_is_for_the_name_whatever_the_address(private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The name resolves to a loopback address: refused unless that may be, and then its certificate is what counts."""
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.66.0.2"]

    with running_idp(host="127.66.0.2", authority=authority) as idp:
        url = idp.keys_url.replace("127.66.0.2", "keys.test")
        with pytest.raises(Unavailable, match="certificate" if private else "127.66.0.2 is loopback"):
            await PublishedDocuments(resolve).fetch(url, private=private)
        if private:  # the certificate is for the address, not for the name
            assert await PublishedDocuments().fetch(idp.keys_url, private=True)
    assert asked == ["keys.test"]


async def test_a_certificate_of_another_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "ca.crt").write_text(Authority().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))

    with running_idp(host="127.66.0.3", authority=Authority()) as idp:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await fetched(idp.keys_url)
        assert not idp.asked


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["10.0.0.1"], id="private"),
        pytest.param(["169.254.169.254", "fd00:ec2::254"], id="metadata"),
        pytest.param(["::ffff:127.0.0.1"], id="mapped"),
        pytest.param(["fe80::1%eth0"], id="link-local-with-a-zone"),
        pytest.param(["0.0.0.0"], id="unspecified"),
        pytest.param([], id="none"),
    ],
)
async def test_a_name_of_no_public_address(addresses: list[str]):
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    with pytest.raises(Unavailable, match=r"keys\.example\.com"):
        await PublishedDocuments(resolve).fetch("https://keys.example.com/", private=False)


async def test_a_name_is_resolved_once(idp: Idp):
    """Rebinding: what it would resolve to next is never asked."""
    answers = iter([["127.66.0.1"], ["10.0.0.1"]])

    async def resolve(host: str, port: int) -> Sequence[str]:
        return next(answers)

    await PublishedDocuments(resolve).fetch(idp.keys_url.replace("127.66.0.1", "keys.test"), private=True)

    assert next(answers) == ["10.0.0.1"]


async def test_the_next_address_is_tried(idp: Idp):
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["224.0.0.1", "127.66.255.254", "127.66.0.1"]

    assert await PublishedDocuments(resolve).fetch(idp.keys_url.replace("127.66.0.1", "keys.test"), private=True)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
async def test_another_spelling_of_this_machine(host: str):
    """What the resolver makes of it is what is looked at."""
    with pytest.raises(Unavailable, match=r"is loopback|cannot be resolved"):
        await fetched(f"https://{host}:1/", private=False)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"])
async def test_a_name_that_nobody_has(host: str):
    with pytest.raises(Unavailable, match="cannot be resolved"):
        await fetched(f"https://{host}/", private=False)


async def test_the_resolver_of_this_machine():
    assert "127.0.0.1" in await resolved("localhost", 80)


async def test_fetches_that_are_given_up_leave_nothing_behind(idp: Idp):
    idp.answers[KEYS] = silent
    task = asyncio.create_task(fetched(idp.keys_url))
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
