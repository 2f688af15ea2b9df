"""Millions of images -> rows in Parquet or JSONL, over a cluster (docs/scale.md).

inputs   what a user names -> images, videos, archives
parts    these in parts, a file each, and the tasks that read them
identity  whether models are the same ones: hashes of their files
images   an image on its way, from a file, an address or an object store
read     a task -> its images
columns  images in, columns out: the core, which any engine calls
models   the models of every actor, the same on all machines
tables   images and rows from process to process, as Arrow has them
rows     the rows of a part as they come, until all are there
store    where the files go: a folder or an object store
again    what processes died over, in smaller pieces
job      what is done, what is not, each row once
engines  what runs the tasks: Ray Data, or this process
plan     what a user asks for -> a job
estimate  what a job will take, from a sample
"""
