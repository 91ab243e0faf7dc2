"""Run the command line with `python -m gridhash`."""

from gridhash.cli import main

if __name__ == "__main__":
    main()
