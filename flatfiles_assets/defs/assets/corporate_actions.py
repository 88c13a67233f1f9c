"""`reference/corporate_action_audit`: what of the recorded splits and dividends the bars bear out.

The table is for people; adjustments judge the records they need themselves, by the same rules, so that
no price waits for it. The check fails, and holds nothing back, where something was left out that only a
person can settle.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.defs.assets.identities import shown
from flatfiles_assets.defs.assets.reference_source import ReferenceSource, log_rejected
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL, OWNERS, WAREHOUSE_IO, reference_key
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.escaping import printable
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.audit import update_audit
from flatfiles_assets.warehouse.corporate_actions import sentence
from flatfiles_assets.warehouse.tables import ACTION_AUDIT, OVERRIDES

_CHECK = "records_are_borne_out"
_KEY = reference_key("corporate_action_audit")
_MOST_LOGGED = 50

#: Verdicts that only a person can settle, in overrides.csv.
_UNSETTLED = ("contradicted", "conflicting", "not_a_split", "no_record")


def build_corporate_action_assets() -> list[dg.AssetsDefinition]:
    """The asset of the audit, with its check."""
    return [corporate_action_audit]


@dg.asset(
    key=_KEY,
    deps=[reference_key("splits"), reference_key("dividends"), reference_key("securities")],
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK,
            asset=_KEY,
            description="Every recorded split shows in the bars, and every jump like a split is recorded.",
        )
    ],
    group_name="reference",
    pool=DUCKDB_WRITER_POOL,
    description=(
        "Every recorded split against the bars (confirmed, shifted, contradicted, conflicting, not_a_split, "
        "unverifiable), dividends that are not applied, and jumps without a record. overrides.csv in the "
        "reference folder settles single cases."
    ),
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    metadata={
        "dagster/table_name": ACTION_AUDIT.sql_name,
        "dagster/column_schema": column_schema(ACTION_AUDIT),
    },
    io_manager_key=WAREHOUSE_IO,
)
@door
def corporate_action_audit(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Judge every record, and store the verdicts with the user's overrides."""
    said = ReferenceSource(load_settings()).dropped("overrides")
    if said is not None:
        log_rejected(context, said)
    overrides = OVERRIDES.arrow_schema.empty_table() if said is None else said.table
    rows = update_audit(warehouse.open(), overrides)
    odd = rows.filter(pc.invert(pc.is_in(rows.column("verdict"), pa.array(["confirmed", "unverifiable"]))))
    for row in odd.slice(0, _MOST_LOGGED).to_pylist():
        context.log.warning("%s", printable(sentence(row)))
    verdicts = Counter(rows.column("verdict").to_pylist())
    metadata: dict[str, Any] = {
        "dagster/row_count": rows.num_rows,
        "overrides": overrides.num_rows,
        "overrides_rejected": 0 if said is None else len(said.rejected),
        "not_applied": pc.sum(pc.invert(rows.column("applied"))).as_py() or 0,
        **{f"verdict_{verdict}": count for verdict, count in sorted(verdicts.items())},
    }
    if odd.num_rows:
        metadata["cases"] = shown(ACTION_AUDIT, odd)
    yield dg.MaterializeResult(metadata=metadata)
    open_cases = rows.filter(pc.invert(rows.column("overridden"))).column("verdict").to_pylist()
    unsettled = {verdict: open_cases.count(verdict) for verdict in _UNSETTLED if verdict in open_cases}
    yield dg.AssetCheckResult(
        passed=not unsettled,
        asset_key=_KEY,
        check_name=_CHECK,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            "; ".join(f"{count} {verdict}" for verdict, count in unsettled.items())
            + ": see `flatfiles audit`, and settle them in overrides.csv"
            if unsettled
            else "every record is borne out, or nothing could be seen of it"
        ),
        metadata=dict(unsettled),
    )
