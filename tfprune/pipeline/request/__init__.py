"""What a caller of `compress` asks for: data, task, wishes.

In: arguments as they were given. Out: frozen records, checked.
May import: every room below `pipeline`.
"""
