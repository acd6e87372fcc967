"""The bench: the real worker beside what its user might have written instead, against the same stand-ins.

`python -m tests.bench --help`
"""
