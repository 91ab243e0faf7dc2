"""What the site does: physics, money, limits, observation, action."""
