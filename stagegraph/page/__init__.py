"""The page of ``doit report``: what it shows, where the boxes of its graph are, and its text in HTML."""
