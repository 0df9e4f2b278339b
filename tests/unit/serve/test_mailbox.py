import asyncio

import pytest

from lexloom.serve.mailbox import Mailbox


@pytest.mark.parametrize("turns", range(6))
def test_a_cancellation_that_comes_with_an_item_is_not_lost(turns):
    async def cancelled_after() -> bool:
        mailbox = Mailbox[str](lambda: None)
        taking = asyncio.create_task(mailbox.take())
        await asyncio.sleep(0.01)
        mailbox.put("piece")
        for _ in range(turns):
            await asyncio.sleep(0)
        came_too_late = not taking.cancel()
        await asyncio.wait([taking])
        return came_too_late or taking.cancelled()

    assert asyncio.run(cancelled_after())
