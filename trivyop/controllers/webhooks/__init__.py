"""Webhooks: the cluster's side of `trivyop.notify`: what changed, and the endpoints that are configured."""
