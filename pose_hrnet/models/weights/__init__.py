"""Files of weights, of ours and of other toolkits."""
