"""The installation and operation guides, followed word for word in a Debian that has nothing in it yet."""
