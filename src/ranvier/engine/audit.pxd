"""The audit of test runs: nothing in the engine refers to a client that is gone, and every count is right."""

from libc.stdint cimport uintptr_t

from ranvier.engine.core cimport Core

# Raise AssertionError with everything that is wrong. `tokens` are clients that the loop still has events of, or 0.
cdef void audit(Core *core, list tokens) except *
