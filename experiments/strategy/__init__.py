"""Which way to go on: what a number says about data, net and labels (inventory family N)."""
