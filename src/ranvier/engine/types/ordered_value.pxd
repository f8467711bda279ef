"""The order-statistic index as a value."""

from ranvier.engine.store.value cimport ValueKind
from ranvier.engine.types.ordered cimport Ordered

cdef const ValueKind *ordered_kind() noexcept nogil
# The invariant that does not hold, NULL when all do (tests).
cdef const char *ordered_contradiction(const Ordered *self) noexcept nogil
