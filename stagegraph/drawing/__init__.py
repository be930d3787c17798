"""Pictures of the graph: what is drawn (``diagram``), and one module for each form."""
