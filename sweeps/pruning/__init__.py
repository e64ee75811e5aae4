"""Early stopping: which trials end at a rung, as a function of what the store has of them."""
