"""The torture: the real worker is killed over and over while everything around it fails, and then judged.

`python -m tests.torture --kills 1000 --alerts 10000 --seed 1`: one worker and its SQLite file.
`python -m tests.torture --workers 3 --kills 1000 --alerts 10000 --seed 1 --dynamodb URL`: three
that share a table, of which one is killed each second.
"""
