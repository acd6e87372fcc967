"""What `check` examines, one module per subject, and how it judges. `runner` runs all of them.

The adapters return facts; only these modules judge them and name a remedy.
"""
