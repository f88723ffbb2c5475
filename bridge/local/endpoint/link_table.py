"""The links of one connection: our end of each, and which of them wait for room in the socket."""

from __future__ import annotations

from collections.abc import Callable

from proton import Link

from bridge.local.endpoint.answers import detach_now
from bridge.local.endpoint.engine import Pointer, address
from bridge.local.endpoint.leaving import LeavingLink
from bridge.local.endpoint.links import LinkEnd, Starved
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.replies import ReplyLink


class LinkTable:
    """Our ends by the addresses of their links; an end that is dropped is told so."""

    def __init__(self) -> None:
        self._ends: dict[int, LinkEnd] = {}
        self._starved: set[Starved] = set()

    def place(self, link: Link, end: LinkEnd) -> None:
        """Let `end` be our end of `link` from now on."""
        self._ends[address(link._impl)] = end

    def end(self, link: int) -> LinkEnd | None:
        """Our end of the link at that address, if it has one."""
        return self._ends.get(link)

    def reply_link(self, session: int, source: str, target: str | None) -> ReplyLink | None:
        """The link for replies of `source`: the one that asked for `target`, or any."""
        found: ReplyLink | None = None
        for end in self._ends.values():
            if not isinstance(end, ReplyLink) or (end.session, end.source) != (session, source):
                continue
            if found is None or end.target == target:
                found = end
        return found

    # The end of links

    def drop(self, gone: Callable[[LinkEnd], bool] = lambda end: True) -> None:
        """Forget the ends that are `gone`; all, if it is not said which."""
        for pointer in [each for each, end in self._ends.items() if gone(end)]:
            self.drop_one(pointer)

    def drop_one(self, link: int) -> bool:
        """Forget our end of the link at that address; returns whether it had one."""
        end = self._ends.pop(link, None)
        if end is None:
            return False
        end.detach()
        if isinstance(end, LeavingLink):
            self._starved.discard(end)
        return True

    def detach(self, link: Pointer, refused: Refused) -> bool:
        """Detach a link with an error, from our side; returns whether it was attached."""
        if not self.drop_one(address(link)):
            return False
        detach_now(link, refused)
        return True

    def detach_all(self, wanted: Callable[[LinkEnd], bool], refused: Refused) -> int:
        """Detach the links whose ends are `wanted`; returns how many they were."""
        links = [end.link for end in self._ends.values() if wanted(end)]
        return sum(self.detach(link, refused) for link in links)

    # Room in the socket

    def starve(self, link: Starved) -> None:
        """Let `link` try again when there may be room."""
        self._starved.add(link)

    @property
    def starving(self) -> bool:
        """Whether a link waits for room."""
        return bool(self._starved)

    def retry(self) -> bool:
        """Let the links that wait for room try again; returns whether any of them found some."""
        starved, self._starved = self._starved, set()
        for link in starved:
            link.retry()
        return not self._starved >= starved
