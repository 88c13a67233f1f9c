"""Option quotes of any vendor's files to one typed table."""
