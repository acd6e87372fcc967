"""What `check` looks at, one module a subject, and how it judges. `runner` has all of them look.

The adapters hand over facts; whether these are good, and what helps, is said here alone.
"""
