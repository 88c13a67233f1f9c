"""Arguments and options that several verbs share."""

from __future__ import annotations

import datetime as dt

import click

from flatfiles_assets.calendars import parse_date
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.errors import InvalidArgument


class IsoDate(click.ParamType[dt.date]):
    """A calendar date written YYYY-MM-DD."""

    name = "YYYY-MM-DD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """The date, or a usage error that says how to write one."""
        try:
            return parse_date(value)  # type: ignore[arg-type]
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)


FEED = click.Choice(sorted(DATASETS))
DATE = IsoDate()
