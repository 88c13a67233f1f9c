"""Programs that run as written on the demo's data, and on your own."""
