"""The way from a SQLite file to a DynamoDB table, with proof that all arrived: `migrate.migrate_store`."""
