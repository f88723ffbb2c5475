"""The local parts together: a PostgreSQL server and a Service Bus endpoint, ready to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate


@dataclass(frozen=True)
class LocalStack:
    """Both servers, running; the database has stagebus in it."""

    postgres: LocalPostgres
    endpoint: RunningEndpoint

    @property
    def database_url(self) -> str:
        return self.postgres.url()

    def database_url_for(self, role: str) -> str:
        """The same database, for another role."""
        return make_conninfo(self.postgres.url(), user=role)

    @property
    def connection_string(self) -> str:
        return self.endpoint.connection_string


@contextmanager
def local_stack(
    folder: Path,
    *,
    version: int = 18,
    port: int | None = None,
    servicebus_port: int = 0,
    control_port: int = 0,
    journal: Path | None = None,
    faults: Path | None = None,
    config: Path | None = None,
    ignore_rules: bool = False,
) -> Iterator[LocalStack]:
    """Starts both in `folder`, where the database stays, and stops both in the end.

    faults: a JSON file of scripted faults that the endpoint begins with. config: a Config.json of
    Microsoft's emulator, with entities beside the queues `tasks` and `jobs`. ignore_rules: take
    its subscriptions with filters as if they had none.
    """
    with ExitStack() as stack:
        postgres = LocalPostgres(folder.resolve(), version=version, port=port)
        stack.callback(postgres.stop)
        postgres.start()
        migrate(postgres.url())
        arguments = ["--port", str(servicebus_port), "--control-port", str(control_port)]
        if journal is not None:
            arguments += ["--journal", str(journal)]
        if config is not None:
            arguments += ["--config", str(config.resolve())]
            arguments += ["--ignore-rules"] if ignore_rules else []
        if faults is not None:
            # The endpoint runs in another folder.
            arguments += ["--faults", str(faults.resolve())]
        yield LocalStack(postgres, stack.enter_context(run_endpoint(arguments=arguments)))
