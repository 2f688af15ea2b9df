"""Annotation files and images -> People -> crops."""
