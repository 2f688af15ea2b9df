"""What `pose-hrnet benchmark` measures.

timing       the clock that all share
model        backends, arithmetics and batch sizes, and what no backend can pass
loading      data loading
codec        encoding and decoding
prediction   image files to keypoints
pipeline     image files to persons and their keypoints
video        a video to its results and its overlay
serving      a server under many clients
made_up      annotations and results of any size
evaluation   the COCO numbers
suite        all of them
machine      what was measured on
report       tables, JSON, Markdown
"""
