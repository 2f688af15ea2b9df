"""Arguments in, text out: the command line."""
