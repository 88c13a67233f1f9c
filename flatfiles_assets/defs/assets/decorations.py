"""Pictures and previews beside a result: what is shown of it, and never a reason for it to fail.

Rows are stored before anything is drawn of them. A run whose picture failed would leave them without
a record of their partition, which is worse than a page without a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from flatfiles_assets.unexpected import explained


def decoration(
    context: dg.AssetExecutionContext, what: str, make: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Metadata that is made for people to look at; nothing, and a warning, where it cannot be made.

    Args:
        context: Of the step.
        what: What it is, in words.
        make: Makes it.
    """
    try:
        return dict(make())
    except Exception as error:
        context.log.warning("%s is left out: %s", what, explained(error))
        return {}
