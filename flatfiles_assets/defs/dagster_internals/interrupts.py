"""How a run is told to end, for code of ours that waits within one."""

# Not exported: has a signal end a wait, where Dagster otherwise keeps it until the step has ended.
from dagster._core.errors import raise_execution_interrupts

# Not exported: why a run failed, to tell one that was interrupted from one that could not do its work.
from dagster._core.events import RunFailureReason

# Not exported: a signal that came while Dagster keeps them back.
from dagster._utils.interrupts import pop_captured_interrupt

__all__ = ["RunFailureReason", "pop_captured_interrupt", "raise_execution_interrupts"]
