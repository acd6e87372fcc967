"""What the program does. Knows no Slack, no SQS and no database: those stand behind `triage.ports`."""
