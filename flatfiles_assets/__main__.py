"""`python -m flatfiles_assets` is `flatfiles`."""

from flatfiles_assets.cli import main

main(prog_name="flatfiles")
