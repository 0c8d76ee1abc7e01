"""Settings by the variables that envoyproxy/ratelimit reads, and the process's own."""

import pytest

from ratelimit_service.main import limits_parser, parsed_settings
from ratelimit_service.swap_in.process import process_settings
from ratelimit_service.swap_in.settings import Headers, SwapInSettings, swap_in_settings
from service_kit.settings import SettingError


def test_defaults():
    assert swap_in_settings({}) == SwapInSettings()


def test_all_variables():
    environ = {
        "MERGE_DOMAIN_CONFIG": "true", "SHADOW_MODE": "1", "QUOTA_MODE": "T", "RESPONSE_DYNAMIC_METADATA": "True",
        "STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT": "t", "NEAR_LIMIT_RATIO": "0.5", "CACHE_KEY_PREFIX": "eu:",
        "LIMIT_RESPONSE_HEADERS_ENABLED": "TRUE", "LIMIT_REMAINING_HEADER": "x-left",
    }  # fmt: skip

    assert swap_in_settings(environ) == SwapInSettings(
        merge_domains=True, shadow_mode=True, quota_mode=True, response_metadata=True, only_over=True,
        near_limit=0.5, key_prefix="eu:", headers=Headers(remaining="x-left"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"SHADOW_MODE": "yes"}, "SHADOW_MODE: 'yes' is neither true nor false"),
        ({"NEAR_LIMIT_RATIO": "80%"}, "NEAR_LIMIT_RATIO: '80%' is no number from 0 to 1"),
        ({"NEAR_LIMIT_RATIO": "nan"}, "NEAR_LIMIT_RATIO: 'nan' is no number from 0 to 1"),
        ({"CACHE_KEY_PREFIX": "{a}"}, "CACHE_KEY_PREFIX: '{a}' has braces"),
        ({"LIMIT_RESPONSE_HEADERS_ENABLED": "1", "LIMIT_RESET_HEADER": "a b"}, "LIMIT_RESET_HEADER: 'a b' is no name"),
    ],
)
def test_mistakes(environ, words):
    with pytest.raises(SettingError) as refusal:
        swap_in_settings(environ)

    assert str(refusal.value).startswith(words)


def of_process(argv, environ=None):
    parser = limits_parser(environ or {})
    return process_settings(parser, parser.parse_args(argv), environ or {})


def test_a_directory_is_enough():
    settings = of_process(["--config", "limits"])

    assert (str(settings.listen), settings.store.address) == ("0.0.0.0:8081", "redis://127.0.0.1:6379")


def test_flags_and_variables_of_the_process():
    settings = of_process(["--config", "limits", "--listen", "unix:/l.sock"], {"TOLLGATE_STORE": "unix:/s.sock"})

    assert (str(settings.listen), settings.store.address) == ("unix:/l.sock", "unix:/s.sock")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--config", "limits", "--control-plane", "unix:/c.sock"], "the rules come from --config"),
        (["--config", "limits", "--http", "8080"], "--http: '8080' is no address"),
    ],
)
def test_flags_that_do_not_fit(argv, words, capsys):
    with pytest.raises(SystemExit):
        of_process(argv)

    assert words in capsys.readouterr().err


def test_http_is_for_the_swap_in_alone(capsys):
    with pytest.raises(SystemExit):
        parsed_settings(["--listen", "unix:/l", "--control-plane", "unix:/c", "--http", "a:1"], {})

    assert "--http answers with --config only" in capsys.readouterr().err


def test_a_variable_that_cannot_be_used_ends_the_start(capsys):
    with pytest.raises(SystemExit):
        of_process(["--config", "limits"], {"QUOTA_MODE": "on"})

    assert "QUOTA_MODE: 'on' is neither true nor false" in capsys.readouterr().err
