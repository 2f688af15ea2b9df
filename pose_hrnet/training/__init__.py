"""Crops -> weights."""
