"""The command line, ``pmx``: one command a module."""

from pmx.cli.app import app, main

__all__ = ["app", "main"]
