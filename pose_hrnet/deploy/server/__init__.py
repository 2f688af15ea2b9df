"""`pose-hrnet serve`: poses over HTTP, in the order of a request.

connection  sockets and their time-outs; draining
guard       who may ask; what browsers may do with answers
contract    what is asked and answered, for OpenAPI
limits      what one client, and all together, may hold
bodies      a request's body -> images in memory and boxes
headers     what images say of themselves, and what of it is refused
decoding    bytes -> RGB, in threads with a time-out
batcher     work of all requests -> batches, in one thread a device
pipeline    an image -> its poses
answers     what became of images -> JSON, COCO, OpenPose, a picture
saving      images and answers on the disk, where `--save` asks for it
metrics     what Prometheus reads
errors      what goes wrong -> one sentence
app         the routes
"""
