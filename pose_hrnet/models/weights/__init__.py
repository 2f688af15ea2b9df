"""Files of weights, of ours and of other toolkits.

files     reads and writes them; runs no code from them
layouts   which network a state dict is of, by names and shapes
foreign   what decoding needs of other toolkits' files, and where that is from
mmpose    the settings inside MMPose's checkpoints
read      a file, opened and understood
fit       what of it fits a network
zoo       published weights by name: the table zoo.yaml
fetch     what a user names for a checkpoint, as a file: downloaded, checked, kept as ours
load      load, save, initialise
inspect   what a file is, in words
identity  a name, a hash and a number that tell which model it is

Beside them ``default.safetensors``, weights for a first try: docs/default_model.md.
"""
