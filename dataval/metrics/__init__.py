"""Numbers in, numbers out: how good values are. Nothing here trains a model or knows a framework."""
