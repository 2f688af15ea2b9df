"""What `pose-hrnet benchmark` measures."""
