"""How many messages per second does a bridge put on the broker, and how many do plain loops?

ours     a real bridge process: from before the first claim of a stage of so many tasks to the last
         acceptance; its tasks are there before, the bridge connected and idle
singles  an outbox table and a loop: select the next row, send it, mark it sent, commit
batches  the same by thousands: select, pack as much as a batch takes, send, mark, commit

All with the real SDK to the local endpoint (256 KB, duplicate detection), bodies of about 300
bytes, in turn. The loops use the SDK's public, synchronous API with its defaults; singles with
fewer messages, since its rate does not depend on them.

    python -m benchmarks.relay [--tasks 200000] [--singles 1000] [--batches 20000] [--bridges 1]
    python -m benchmarks.relay --dead-letters [--tasks 200000] [--rounds 3]

The second: ours, which reads the dead-letter queues meanwhile, against the same without.

What the encoder alone makes of it: benchmarks.encode. With a network between: benchmarks.distant.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from benchmarks.measure import Measured, once, over, paired, program, ratios, seconds
from benchmarks.place import Connection, Place, place

OUTBOX = """
create schema bench;
create table bench.outbox (
    id bigint not null primary key, message_id text not null, body bytea not null,
    sent_at timestamptz);
create index on bench.outbox (id) where sent_at is null;
"""

FILL = """
insert into bench.outbox (id, message_id, body)
select id, gen_random_uuid()::text, convert_to(rpad(id::text, %s, 'x'), 'UTF8')
from generate_series(1, %s) as id
"""

NEXT = """
select id, message_id, body from bench.outbox
where sent_at is null order by id limit %s for update skip locked
"""

#: Rows that one look at the outbox takes: more than a batch of 256 KB holds.
AT_ONCE = 1000


def message_of(message_id: str, body: bytes) -> ServiceBusMessage:
    """With what the bridge's messages have."""
    return ServiceBusMessage(
        body,
        message_id=message_id,
        subject="h3_hexagon",
        content_type="application/json",
        application_properties={},
    )


def send_next(connection: Connection, sender: ServiceBusSender) -> bool:
    """The next row alone; False when there is none."""
    with connection.transaction():
        row = connection.execute(NEXT, (1,)).fetchone()
        if row is None:
            return False
        sender.send_messages(message_of(row[1], row[2]))
        connection.execute("update bench.outbox set sent_at = now() where id = %s", (row[0],))
    return True


def send_batch(connection: Connection, sender: ServiceBusSender) -> bool:
    """As many of the next rows as a batch takes; False when there are none."""
    with connection.transaction():
        rows = connection.execute(NEXT, (AT_ONCE,)).fetchall()
        if not rows:
            return False
        batch = sender.create_message_batch()
        for row in rows:
            try:
                batch.add_message(message_of(row[1], row[2]))
            except MessageSizeExceededError:
                break
        sender.send_messages(batch)
        sent = [row[0] for row in rows[: len(batch)]]
        connection.execute("update bench.outbox set sent_at = now() where id = any (%s)", (sent,))
    return True


def outbox(
    here: Place, messages: int, size: int, send: Callable[[Connection, ServiceBusSender], bool]
) -> float:
    """Messages per second of one of the loops."""
    here.connection.execute("truncate bench.outbox")
    here.connection.execute(FILL, (size, messages))
    here.connection.execute("analyze bench.outbox")
    here.connection.execute("checkpoint")
    with (
        ServiceBusClient.from_connection_string(here.endpoint.connection_string) as client,
        client.get_queue_sender("tasks") as sender,
    ):
        sender.create_message_batch()  # It connects.

        def run() -> None:
            while send(here.connection, sender):
                pass

        return messages / seconds(run)


def reading(tasks: int, bridges: int, rounds: int) -> Measured:
    """With the reader of dead letters, and without."""
    with place() as here:
        here.publishing_time(tasks // 10)
        rates = paired(
            rounds,
            {
                name: lambda option=option: (
                    tasks / here.publishing_time(tasks, bridges, options=[option])
                )
                for name, option in (
                    ("reading", "--dead-letters"),
                    ("not_reading", "--no-dead-letters"),
                )
            },
        )
    return {
        "relay_msgs_per_s_reading_dead_letters": over(
            [each["reading"] for each in rates], "messages/s"
        ),
        "relay_msgs_per_s_not_reading": over([each["not_reading"] for each in rates], "messages/s"),
        "relay_ratio_reading_dead_letters": ratios(rates, "reading", "not_reading"),
    }


@program
@click.option("--tasks", default=200_000, show_default=True, help="Messages of ours.")
@click.option("--singles", default=1_000, show_default=True, help="Messages of singles.")
@click.option("--batches", default=20_000, show_default=True, help="Messages of batches.")
@click.option("--bridges", default=1, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--dead-letters", is_flag=True, help="What reading the dead letters takes, alone.")
def main(
    tasks: int, singles: int, batches: int, bridges: int, rounds: int, dead_letters: bool
) -> Measured:
    """Messages per second from the database to the broker."""
    if dead_letters:
        return reading(tasks, bridges, rounds)
    with place() as here:
        here.connection.execute(OUTBOX)
        here.publishing_time(tasks // 10)
        size = here.body_bytes()
        rates = paired(
            rounds,
            {
                "ours": lambda: tasks / here.publishing_time(tasks, bridges),
                "singles": lambda: outbox(here, singles, size, send_next),
                "batches": lambda: outbox(here, batches, size, send_batch),
            },
        )
    return {
        "relay_msgs_per_s": over([each["ours"] for each in rates], "messages/s"),
        "outbox_singles_msgs_per_s": over([each["singles"] for each in rates], "messages/s"),
        "outbox_batches_msgs_per_s": over([each["batches"] for each in rates], "messages/s"),
        "relay_ratio_to_outbox_singles": ratios(rates, "ours", "singles"),
        "relay_ratio_to_outbox_batches": ratios(rates, "ours", "batches"),
        "relay_body_bytes": once(size, "bytes"),
    }


if __name__ == "__main__":
    main()
