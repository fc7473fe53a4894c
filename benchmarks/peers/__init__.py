"""What takes part in `./run bench`, each in a folder with a `contender.py`."""
