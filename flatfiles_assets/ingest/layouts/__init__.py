"""What a file of an unknown layout means, from the evidence in its rows."""
