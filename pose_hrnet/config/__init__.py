"""Typed settings, and the strict YAML that they are read from."""
