"""The program Trivy, as a child process: how it is run, what it prints when it fails, and what that means."""
