"""Work that would hold up the event loop, such as tokenizing a long text, done beside it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """What the work gives, from a thread of asyncio's pool."""
    return await asyncio.to_thread(work)
