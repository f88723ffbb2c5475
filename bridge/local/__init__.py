"""What stands in for the real parts on one machine: a PostgreSQL server, a Service Bus endpoint."""
