"""The fleet's files: who lacks what and from whom it comes, what differs, what nobody needs, what a change hits. Pure.

`needs` and `fetch` are about files that are missing, `stock` about all there are, `blast` about one to be renamed or
deleted, `replaced` about programs with another file in them, `barred` about files that were withdrawn.
"""
