"""Out of the laboratory.

export     network, flip test and decoder as one graph
triton     an export as a model repository of Triton
check      how far an export is from its checkpoint
quantise   the graph in INT8
int8       INT8 exports, and what they cost
bulk       millions of images -> rows, over a cluster
server     poses over HTTP; web/ is its page
"""
