"""Wrong labels, found by what several models say of each sample without it."""
