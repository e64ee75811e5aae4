"""`python -m sweeps.cli` is `masksweep`."""

from sweeps.cli.app import main

if __name__ == "__main__":
    main()
