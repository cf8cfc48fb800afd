"""`python -m imago.cli`: the same as `imago`."""

from imago.cli import app

app()
