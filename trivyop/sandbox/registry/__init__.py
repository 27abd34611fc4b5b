"""A registry in this process, and what it serves: images and vulnerability databases made on the spot."""
