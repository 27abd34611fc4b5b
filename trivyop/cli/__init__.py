"""The command line: `trivyop run | status | sandbox | demo`."""
