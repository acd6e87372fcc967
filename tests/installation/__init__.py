"""The README's installation chapter, followed word for word in a Debian that has nothing in it yet."""
