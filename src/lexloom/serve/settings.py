"""How the server is set up: where it listens, for whom, within which limits."""

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lexloom.base.errors import UserError
from lexloom.serve.limits import MIN_KEY_CHARACTERS, Limits

KEY_VARIABLE = "LEXLOOM_KEY"
LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
MOST_KEYS = 1_000


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Raises UserError for an address beyond this machine without a key."""

    host: str = LOOPBACK
    port: int = 8000
    keys: tuple[str, ...] = field(default=(), repr=False)
    """Whoever brings one of them is let in; without any, everybody on this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which clients may call the server, such as that of a reverse proxy."""
    log_prompts: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.loopback and not self.keys:
            raise UserError(
                f"{self.host} can be reached from other machines, and there is no key",
                where="--host",
                fix=f"Name a file of keys with --key-file, or put one into {KEY_VARIABLE}.",
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or _is_loopback(self.host)

    def knows_host(self, host: str) -> bool:
        """Whether a client may call the server by this name; a foreign name is what DNS rebinding comes with."""
        name = host.lower()
        if name in {*LOOPBACK_NAMES, *(allowed.lower() for allowed in self.allowed_hosts)}:
            return True
        # An address is no name that somebody else's DNS could turn to this machine
        return not self.loopback and (name in {self.host.lower(), socket.gethostname().lower()} or _is_address(name))


def read_keys(file: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The keys of a file, one a line (empty lines and those that begin with # don't count), and of LEXLOOM_KEY.

    Raises UserError for a file that others may read, for no key in it, and for keys that are too short.
    """
    given = environment.get(KEY_VARIABLE, "").strip()
    keys = ([given] if given else []) + ([] if file is None else _keys_in(file))
    if len(keys) > MOST_KEYS:
        raise UserError(f"there are {len(keys):,} keys; at most {MOST_KEYS:,}", where=str(file))
    for number, key in enumerate(keys, start=1):
        _check_key(key, f"{file or KEY_VARIABLE}: key {number}")
    return tuple(dict.fromkeys(keys))


def _keys_in(file: Path) -> list[str]:
    if not file.is_file():
        raise UserError("no such file", where=str(file), fix="Write one key a line into it.")
    if file.stat().st_mode & 0o007:
        raise UserError("everybody on this machine can use this file", where=str(file), fix=f"chmod 600 {file}")
    lines: Sequence[str] = file.read_text(encoding="utf-8").split("\n")
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise UserError("has no key", where=str(file), fix="Write one key a line into it.")
    return keys


def _check_key(key: str, where: str) -> None:
    """Never says what the key is."""
    if len(key) < MIN_KEY_CHARACTERS:
        raise UserError(
            f"has {len(key)} characters; {MIN_KEY_CHARACTERS} are the least",
            where=where,
            fix="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError("has characters that can't stand in an HTTP header", where=where)


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
