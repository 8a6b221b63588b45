"""Training again under other weights, or without some samples: one engine and one store."""
