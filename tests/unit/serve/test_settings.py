import os

import pytest

from lexloom.base.errors import UserError
from lexloom.serve.settings import ServeSettings, read_keys

KEY = "a-key-of-enough-letters"


@pytest.fixture
def key_file(tmp_path):
    def write(text: str, mode: int = 0o600):
        path = tmp_path / "keys"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_server_is_closed_by_default():
    assert ServeSettings().loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_are_let_in_with_a_key_only(host):
    with pytest.raises(UserError, match="there is no key"):
        ServeSettings(host=host)
    assert not ServeSettings(host=host, keys=(KEY,)).loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_needs_none(host):
    assert ServeSettings(host=host).loopback


def test_keys_come_from_file_and_environment(key_file):
    path = key_file(f"# ours\n{KEY}\n\n{KEY}-2\n")
    assert read_keys(path, {"LEXLOOM_KEY": KEY + "-3"}) == (KEY + "-3", KEY, KEY + "-2")
    assert read_keys(None, {}) == ()


@pytest.mark.parametrize(
    "bad", ["short", "with space in the middle", "schlüssel-schlüssel", "\tbell\x07-long-enough-key"]
)
def test_bad_keys_are_refused_without_being_shown(bad, key_file):
    with pytest.raises(UserError) as caught:
        read_keys(key_file(f"{KEY}\n{bad}\n"), {})
    assert bad not in str(caught.value)
    assert "key 2" in str(caught.value)


def test_empty_file_of_keys_does_not_open_the_server(key_file):
    with pytest.raises(UserError, match="has no key"):
        read_keys(key_file("# nothing\n"), {})


@pytest.mark.skipif(os.name != "posix", reason="files have no mode")
def test_file_that_everybody_can_read_is_refused(key_file):
    with pytest.raises(UserError, match="everybody"):
        read_keys(key_file(KEY, 0o644), {})


def test_keys_are_not_shown_where_settings_are():
    assert KEY not in repr(ServeSettings(keys=(KEY,)))


@pytest.mark.parametrize(
    ("host", "name", "known"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "10.0.0.1", False),
        ("127.0.0.1", "proxy.example", True),
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "evil.example", False),
        ("0.0.0.0", "proxy.example", True),
    ],
)
def test_names_that_dns_could_turn_to_this_machine_are_unknown(host, name, known):
    settings = ServeSettings(host=host, keys=(KEY,), allowed_hosts=("proxy.example",))
    assert settings.knows_host(name) is known
