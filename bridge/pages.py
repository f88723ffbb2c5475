"""Reading a batch in short pages, one ahead of what is being sent: no statement stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine

from bridge.batch import Claim, Message

#: A page of messages has about this many bytes of bodies, 32 times as many if all of them are as
#: large as the largest of the stage; and so many messages at most: 4,500 is what one send takes on
#: the Standard tier.
PAGE_BYTES = 500_000
PAGE_ROWS = 4500

#: Reads up to `limit` messages from the task after `after_index` on.
ReadPage = Callable[[int, int], Coroutine[None, None, list[Message]]]


async def read_pages(claim: Claim, read: ReadPage) -> AsyncGenerator[list[Message]]:
    """What is left of the batch, in the order of its tasks' indexes; raises what `read` raises.

    No page is empty.
    """
    limit = max(1, min(PAGE_ROWS, PAGE_BYTES // max(1, claim.average_body_bytes)))

    def after(index: int) -> asyncio.Task[list[Message]]:
        return asyncio.create_task(read(index, limit))

    ahead = after(claim.published_through)
    try:
        while page := await ahead:
            full = len(page) == limit
            if full:
                ahead = after(page[-1].task_index)
            yield page
            if not full:
                return
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
