"""Kronecker-factored curvature: K-FAC and EK-FAC, layer by layer, inverted in closed form."""
