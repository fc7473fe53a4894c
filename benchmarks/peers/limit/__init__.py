"""The limit: the same messages and rows as ours, as fast as plain CPython carries them with the same drivers."""
