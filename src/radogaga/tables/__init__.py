"""Tables as people have them, mixed columns and gaps included, as matrices of numbers and back."""

from radogaga.tables.frames import as_frame, is_numeric
from radogaga.tables.kinds import Kind
from radogaga.tables.table import Rows, Table
from radogaga.tables.vocabulary import Vocabulary

__all__ = ["Kind", "Rows", "Table", "Vocabulary", "as_frame", "is_numeric"]
