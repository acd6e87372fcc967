"""The adapter for Slack: implements `Messenger` and `SecurityTeam` of `triage.ports`, and receives clicks.

`render` is pure. `check` may use `client`, `errors` and `identity`; only the worker's assembly uses the rest.
"""
