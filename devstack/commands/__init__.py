"""One module for each command of `./run`."""
