"""``python -m pmx``: the command line."""

from pmx.cli import main

if __name__ == "__main__":
    main()
