"""Who says so: signed statements about images, the keys that sign them, and whom a project trusts.

Knows nothing of records and stores. ``project`` reads ``[trust]``; ``store`` keeps the signatures of records.
Only ``ed25519`` imports ``cryptography``, and only a project with ``[trust]`` comes there.
"""
