"""The store in one SQLite file, locked by one worker. `store.SqliteStore` is the entry point."""
