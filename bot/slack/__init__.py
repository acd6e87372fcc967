"""The Slack side: what is said, to whom, and what is clicked. Stands behind the ports of `triage.ports`.

`render` is pure; `check` uses `client`, `errors` and `identity`; all else is for whoever assembles a worker.
"""
