"""How nodes are set up: the collector that reads it, what it answers, and when to ask again."""
