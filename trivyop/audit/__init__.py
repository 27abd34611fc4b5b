"""From resource to checks: Trivy's checks of configuration, policies, and what nodes tell of themselves."""
