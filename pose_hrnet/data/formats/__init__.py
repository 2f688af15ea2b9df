"""Annotation files and result files, one format each."""
