"""Millions of images -> rows in Parquet or JSONL, over a cluster (docs/scale.md).

images   an image on its way, from a file, an address or an object store
columns  images in, columns out: the core, which any engine calls
"""
