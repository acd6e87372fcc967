"""The Slack side: what is said, to whom, and what is clicked. Stands behind `triage.ports.Messenger`."""
