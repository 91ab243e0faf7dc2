"""Real series small enough to ship, with their licence."""
