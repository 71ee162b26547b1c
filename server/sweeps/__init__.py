"""Many simulations of one scene with varied parameters, over cores or a cluster."""
