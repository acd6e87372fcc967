"""The torture: the real worker is killed over and over while everything around it fails, and then judged.

`python -m tests.torture --kills 1000 --alerts 10000 --seed 1`
"""
