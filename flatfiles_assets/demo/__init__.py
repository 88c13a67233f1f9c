"""An embedded S3 store and a synthetic market in the vendors' exact formats."""
