"""The settings: the only reader of `os.environ` and of the files in `config/`.

Other packages use `settings.load_settings` (the variables), `messages.load_messages`,
`alerts.load_alert_policies`, and `parameter_store` for tokens that are kept at AWS. To add a setting, add a
field and a row of a table, both in `settings`.
"""
