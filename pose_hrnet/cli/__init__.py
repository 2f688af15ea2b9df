"""Arguments in, text out.

console     bars, tables, errors in one sentence
streams     standard output and error, whatever becomes of the terminal
processes   commands of several processes
parsing     how a command line is read, and what is said of one that cannot be
options     options that several commands share
models      the models that they name: which, loaded, and said
tables      scores, facts and checks as tables
demo        the pipeline itself, on drawn people; its command stands in app
train       pose-hrnet train
evaluate    pose-hrnet evaluate, score
compare     pose-hrnet compare
report      pose-hrnet report
predict     pose-hrnet predict
video       what of it is about videos, cameras and streams
bulk        pose-hrnet bulk
detect      pose-hrnet detect
track       pose-hrnet track
export      pose-hrnet export
serve       pose-hrnet serve
data        pose-hrnet data ...
weights     pose-hrnet weights ...
runs        pose-hrnet runs
recipes     pose-hrnet recipes
benchmark   pose-hrnet benchmark
app         all of them
"""
