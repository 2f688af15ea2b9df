"""Poses -> numbers."""
