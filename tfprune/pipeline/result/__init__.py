"""What `compress` leaves: its folder, its page, its workspace.

In: a compressed model and its record. Out: files that are whole.
May import: every room below `pipeline`.
"""
