"""Crops -> weights.

data         what is learned from
losses       weighted MSE, OHKM, adaptive wing
optimizer    optimiser, learning rate, moving average of the weights
step         one optimiser step, which waits for no device
origin       what a run was made with: version, commit, machine
run_folder   what a run leaves and resumes from
states       states written whole, in the background
assemble     the parts of a run, each made once
loop         learn, save, evaluate, report, epoch by epoch
train        set-up and end
summary      rows of words before and after a run
report       metrics.jsonl, the curve, the speed, a line an epoch
pictures     the best and worst predictions, heatmaps
loggers      TensorBoard, Weights & Biases, MLflow
memory       the batch that fits
dry_run      a run tried out in a minute, by the same parts
runs         several runs, side by side
runs_page    their curves over one another, as a page
preview      pictures of what a training sees
"""
