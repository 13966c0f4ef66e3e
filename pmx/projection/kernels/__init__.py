"""The compiled loops of the projection: writing a program's numbers, the fast engine, the certificate, many accounts.

numba is imported here and nowhere else, and nothing here is imported before it is wanted.
"""
