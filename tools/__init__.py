"""What builds and checks trivyop; no part of it."""
