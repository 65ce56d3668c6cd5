"""The small encoder that ships with histofactor: network, weights, model card and concept bank."""
