"""What notices that something changed or failed, and requests or reports it.

Here: one sensor per module. Not here: what should be requested in the first place
(`schedules.py`, `automation.py`).
"""
