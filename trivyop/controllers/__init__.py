"""The reconcilers: the only place where workloads, scans and reports meet.

- `view.py` mirrors what they read: the informers, and what the server does not have.
- `workloads.py` looks at one workload: which images it runs, which scans those need, which reports go.
- `imagescans.py` looks at one image's scan: takes its next step (`trivyop.scan.lifecycle`).
- `usage.py` joins the two: who runs which image.
- `results.py` reads a finished Job's log; `reports.py` writes reports; `rematch.py` keeps the database
  here and matches bills of materials against it; `credentials.py` fetches pull secrets.
"""
