"""The worker process: its parts, its start and stop, and how it reports on itself.

Commands may use `lifecycle.run_worker`, `app.App`, `control.call`, `handlers`, `views` and `log`.
"""
