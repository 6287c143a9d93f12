"""`python -m handgrad`: the same as the command `handgrad`."""

from handgrad.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
