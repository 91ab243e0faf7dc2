"""Where numbers come from: price files, samples and synthetic years."""
