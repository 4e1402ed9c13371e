"""Folders and archives of pictures as one memory-mapped array of bytes, with a manifest that describes each row.

source -> names -> bytes -> upright 8-bit square -> row -> array.npy + array.json -> Images -> Pictures
"""
