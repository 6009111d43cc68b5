"""How a chunk's packets come to be: each method with its own cost and its own proof."""
