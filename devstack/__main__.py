"""`python -m devstack`, which `./run` hands over to."""

from devstack.cli import main

main()
