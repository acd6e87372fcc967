"""The one-command trial: a stand-in Slack, a local SQS and MozDef's view; it imports nothing of the bot."""
