"""PostgreSQL: the pool, migrations, statements, the event feed and the embedded server."""
