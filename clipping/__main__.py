"""`python -m clipping`: the command line."""

from clipping.cli import main

if __name__ == "__main__":
    raise SystemExit(main(program="python -m clipping"))
