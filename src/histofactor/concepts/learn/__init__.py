"""Learning concepts: the sample, its clustering for every K, and which K to take."""
