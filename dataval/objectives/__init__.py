"""What is measured at a state: validation objectives, utilities, training samples one by one, class logits."""
