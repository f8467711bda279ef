"""Native handlers of the group transactions."""

from ranvier.engine.core cimport Call, native_t

cdef native_t transaction_handler(str name) except? NULL
# EXEC: dispatch knows it, because a refusal of EXEC ends the transaction.
cdef void exec_(Call *call) noexcept
