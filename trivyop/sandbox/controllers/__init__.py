"""The built-in controllers of a cluster that the sandbox needs, each a client of an API server over HTTP.

``run.run_controllers`` runs them. Decisions are pure functions of what informers hold (``rollout``, ``jobs``,
``ownership`` and so on); the controllers beside them read, ask, and write.
"""
