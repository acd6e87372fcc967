"""The store in one SQLite file that one worker holds alone. `store.SqliteStore` is the door."""
