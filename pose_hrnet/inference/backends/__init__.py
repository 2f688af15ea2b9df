"""What runs a network fast: compiled, folded or converted."""
