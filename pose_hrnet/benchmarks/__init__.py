"""What `pose-hrnet benchmark` measures, one module each, and the clock that they share."""
