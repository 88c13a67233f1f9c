"""The vendor's daily files: `.csv.gz` to typed, checked bars."""
