"""Waits for others: told every ten seconds, and limited.

Others are an engine, a builder, a registry, another process, and a program that this one calls.
``waiting`` tells what is waited for, ``flocks`` waits for locks, and ``threads`` limits calls that have no
limit of their own.
"""
