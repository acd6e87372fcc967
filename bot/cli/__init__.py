"""What a person types: the commands, what each does, and what it prints.

Nothing imports this room but `bot.__main__` and the entry point: `parser.main`.
"""
