"""How questions and reports stand in rows: what every store shares. It knows neither SQLite nor DynamoDB."""
