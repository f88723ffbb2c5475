"""The HTTP port of an endpoint: whether it is well, and what it has counted.

`GET /health` answers `{"status": "healthy"}`; `GET /counts` answers `Endpoint.counts()`. What is
under `/faults` and `/connections` is in `faults.routes`.
"""

from __future__ import annotations

from aiohttp import web

from bridge.local.endpoint.faults.routes import FaultRoutes
from bridge.local.endpoint.server import Endpoint


class Control:
    """Serves the counts of `endpoint`; port 0 lets the system choose one."""

    def __init__(self, endpoint: Endpoint, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/counts", self._counts)
        FaultRoutes(endpoint).add_to(app.router)
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        """Where it is, once started; without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(self._endpoint.counts())
