"""How good is a segmentation: data sets, protocol, scores."""
