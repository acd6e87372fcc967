"""The one-command trial: a stand-in Slack, a local SQS and MozDef's view. Imports nothing from the bot."""
