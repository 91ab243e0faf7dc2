"""Who decides: rules, planners, the bound and the learned policy."""
