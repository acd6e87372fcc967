"""The adapter for SQS: requests arrive on one queue, reports leave on another."""
