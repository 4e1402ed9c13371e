"""Encoders and decoders: dense, convolutional with GDN, on principal components."""
