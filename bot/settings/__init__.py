"""The settings: the only reader of `os.environ` and of the files in `config/`.

Others use `settings.load_settings` (the variables), `messages.load_messages`, `alerts.load_alert_policies`,
and `parameter_store` for tokens that the settings only name. A setting is a field and a line of a table, both
in `settings`.
"""
