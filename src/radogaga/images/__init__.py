"""Folders and archives of pictures -> one memory-mapped array of bytes, with a manifest that says what each row is.

source -> names -> bytes -> upright 8-bit square -> row -> array.npy + array.json -> Images -> Pictures
"""

from radogaga.images.pictures import Pictures
from radogaga.images.prepare import Prepared, prepare_images
from radogaga.images.reading import Images, read_images

__all__ = ["Images", "Pictures", "Prepared", "prepare_images", "read_images"]
