"""A node agent: a client of any API server that makes a Node and gives its Pods a life.

Pods picked by a selector run as local processes, each in its own directory; all others only say that they
run. There is no container engine: no images are pulled, and paths of a container are rewritten to those of
the Pod's directory (``paths``).
"""
