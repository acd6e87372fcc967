"""How questions and reports map to rows, shared by all stores. Knows neither SQLite nor DynamoDB."""
