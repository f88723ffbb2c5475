"""The HTTP side of scripted faults, for programs of this machine and not for its browser's pages.

`GET /faults` lists them; `POST /faults` adds one object or a list, all or none; `DELETE /faults`
and `DELETE /faults/NAME` remove them and answer their last counts. `POST /connections/cut` cuts
every connection. A page of another site that a browser shows can send neither JSON nor a DELETE
without being asked for permission first, which nothing here grants; the name it would have to
give itself to seem of this site is no loopback one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from bridge.local.endpoint.faults.book import FaultBook
from bridge.local.endpoint.faults.reading import FaultError, NameTaken, NoSuchFault, read_text


class Faulty(Protocol):
    """An endpoint whose faults are served."""

    faults: FaultBook

    def cut_connections(self) -> int:
        """Cut every connection now; returns how many they were."""
        ...


class FaultRoutes:
    """Handlers for the faults of `endpoint`."""

    def __init__(self, endpoint: Faulty) -> None:
        self._endpoint = endpoint

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve them."""
        router.add_get("/faults", self._list)
        router.add_post("/faults", self._add)
        router.add_delete("/faults", self._clear)
        router.add_delete("/faults/{name}", self._remove)
        router.add_post("/connections/cut", self._cut)

    async def _list(self, request: web.Request) -> web.Response:
        _check(request)
        return web.json_response(self._endpoint.faults.list())

    async def _add(self, request: web.Request) -> web.Response:
        _check(request)
        body = await request.read()
        try:
            added = self._endpoint.faults.add(read_text(body))
        except NameTaken as error:
            raise _answer(web.HTTPConflict, str(error)) from error
        except FaultError as error:
            raise _answer(web.HTTPBadRequest, str(error)) from error
        return web.json_response(added, status=201)

    async def _clear(self, request: web.Request) -> web.Response:
        _check(request)
        return web.json_response(self._endpoint.faults.clear())

    async def _remove(self, request: web.Request) -> web.Response:
        _check(request)
        try:
            last = self._endpoint.faults.remove(request.match_info["name"])
        except NoSuchFault as error:
            raise _answer(web.HTTPNotFound, str(error.args[0])) from error
        return web.json_response(last)

    async def _cut(self, request: web.Request) -> web.Response:
        _check(request)
        return web.json_response({"cut": self._endpoint.cut_connections()})


def _check(request: web.Request) -> None:
    """Raises an answer unless a program of this machine asks."""
    if not _is_loopback(request.remote or ""):
        raise _answer(web.HTTPForbidden, "faults are for clients on the loopback interface")
    host = request.headers.get("Host", "")
    if not _is_loopback(host.rsplit(":", 1)[0] if not host.endswith("]") else host):
        raise _answer(web.HTTPForbidden, f"the header 'Host: {host}' is not the loopback interface")
    if request.method == "POST" and request.content_type != "application/json":
        raise _answer(
            web.HTTPUnsupportedMediaType, "send the header 'Content-Type: application/json'"
        )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _answer(kind: Callable[..., web.HTTPException], text: str) -> web.HTTPException:
    return kind(text=text + "\n")
