"""The benchmark: ``python -m tests.bench`` (``make bench``). It reports and never asserts; docs/performance.rst.

Adding one is adding a function under ``@bench("name", "what it asks")`` to a module that :mod:`.__main__` imports.
"""
