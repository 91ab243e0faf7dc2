"""How a policy is made and judged; the only home of torch and Stable-Baselines3."""
