"""The command line: the commands, what each does, and what it prints.

Only `bot.__main__` and the entry point import this package, for `parser.main`.
"""
