"""What bin/benchmark compares: settings on this machine, and this machine with many devices."""
