"""Benchmarks: `make bench`. Every figure is measured in the run that shows it, next to its goal."""
