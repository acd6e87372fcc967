"""The adapter of the two SQS queues: requests come in by one, reports go out by the other."""
