"""What algohost costs, measured against plain ``python`` in the same run."""
