"""Who asks: keys compared in constant time, and what one key may take."""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lexloom.serve.errors import ApiError, come_back
from lexloom.serve.limits import Limits

ANYBODY = "anybody"
"""The owner of requests to a server without keys."""
BEARER = "bearer "
MINUTE_S = 60.0


class Keys:
    """The keys that open the server; kept as digests, so that no length and no prefix can be learned by timing."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def owner(self, authorization: str | None) -> str:
        """Which key a request came with, as `key-2`. Raises ApiError 401 for none or a wrong one."""
        if not self._digests:
            return ANYBODY
        given = authorization or ""
        if not given.lower().startswith(BEARER):
            raise ApiError(401, "this server needs a key: Authorization: Bearer KEY", code="missing_api_key")
        digest, found = _digest(given[len(BEARER) :].strip()), 0
        for number, known in enumerate(self._digests, start=1):
            # Every key is looked at, whichever it is
            found += number * hmac.compare_digest(digest, known)
        if not found:
            raise ApiError(401, "this key is not known here", code="invalid_api_key")
        return f"key-{found}"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("latin-1", "replace")).digest()


@dataclass
class _Bucket:
    """Requests that may come at once, refilled with time."""

    left: float
    seen_s: float


class Shares:
    """How much each owner takes: requests in a minute, and requests at a time."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._running: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Requests under way."""
        return self._running.total()

    def spend(self, owner: str) -> None:
        """Count a request. Raises ApiError 429 that says when the next one may come."""
        most, now_s = float(self._limits.requests_per_minute), self._clock()
        bucket = self._buckets.setdefault(owner, _Bucket(most, now_s))
        bucket.left = min(most, bucket.left + (now_s - bucket.seen_s) * most / MINUTE_S)
        bucket.seen_s = now_s
        if bucket.left < 1:
            wait_s = (1 - bucket.left) * MINUTE_S / most
            raise ApiError(
                429,
                f"too many requests with this key; the limit requests_per_minute is {int(most):,}",
                code="rate_limit_exceeded",
                retry_after_s=int(wait_s) + 1,
            )
        bucket.left -= 1

    @contextmanager
    def place(self, owner: str) -> Iterator[None]:
        """Hold a place among the requests under way. Raises ApiError 429 if there is none."""
        limits = self._limits
        if self.running >= limits.concurrent:
            raise come_back(f"too many requests under way; the limit concurrent is {limits.concurrent:,}", "busy")
        if self._running[owner] >= limits.concurrent_per_key:
            most = limits.concurrent_per_key
            raise come_back(f"too many requests of this key; the limit concurrent_per_key is {most:,}", "busy")
        self._running[owner] += 1
        try:
            yield
        finally:
            self._running[owner] -= 1
