"""Copies a SQLite store to a DynamoDB table and verifies the copy: `migrate.migrate_store`."""
