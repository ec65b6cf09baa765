"""Training: the one loop (`percept.training.fit`) and the recipes that use it."""
