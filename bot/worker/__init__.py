"""What runs: one worker, made of its parts, from start to stop, and what it tells about itself.

Commands may use `lifecycle.run_worker`, `app.App`, `control.call`, `handlers`, `views` and `log`.
"""
