"""Yearly ZIPs of strangers, unpacked without trusting them."""
