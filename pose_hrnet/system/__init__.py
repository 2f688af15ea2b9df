"""What any program needs: files, devices, processes, memory. No pose, no model."""
