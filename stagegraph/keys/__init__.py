"""Keys: everything that determines a node, the hash over it, and the difference between two. Pure.

``inputs`` is the list that is hashed, ``spec`` what it is made of, ``explain`` the difference of two lists.
"""
