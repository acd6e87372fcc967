"""The domain logic. It knows neither Slack nor SQS nor a database: those are behind `triage.ports`."""
