"""Looks at the setting with which each transaction that touches a batch commits."""

from __future__ import annotations

from collections.abc import Callable

from tests.client import Client


def watch_commits(client: Client) -> Callable[[str], set[str]]:
    """Returns what says the values of synchronous_commit of a login's commits from here on.

    A deferred trigger fires when the transaction commits: it sees the value that counts.
    """
    client.execute("create table public.commits (login text, value text)")
    client.execute(
        "create function public.note_commit() returns trigger language plpgsql"
        " security definer as $$ begin"
        " insert into public.commits values"
        " (session_user, current_setting('synchronous_commit'));"
        " return null; end $$"
    )
    for table in ("batches", "sends"):
        client.execute(
            f"create constraint trigger note_commit after insert or update on stagebus_data.{table}"
            " deferrable initially deferred for each row execute function public.note_commit()"
        )

    def seen(login: str) -> set[str]:
        return set(
            client.column("select distinct value from public.commits where login = %s", login)
        )

    return seen
