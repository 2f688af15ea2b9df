"""`pose-hrnet serve`: poses over HTTP, in the order of a request.

connection  sockets and their time-outs; draining
guard       who may ask; what browsers may do with answers
limits      what one client, and all together, may hold
bodies      a request's body -> images in memory and boxes
decoding    bytes -> RGB, in threads with a time-out
batcher     work of all requests -> batches, in one thread a device
pipeline    an image -> its poses
answers     what became of images -> JSON, COCO, OpenPose, a picture
metrics     what Prometheus reads
app         the routes
"""
