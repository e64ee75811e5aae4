"""`python -m sweeps.cli` is `masksweep`."""

from sweeps.cli.app import main

main()
