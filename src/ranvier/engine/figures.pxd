"""The engine's counters by name, and the largest buffers of the last seconds."""

from ranvier.engine.core cimport Core

cdef dict engine_figures(const Core *core)
# Begin the second that the clock shows, if it is another one.
cdef void roll_peaks(Core *core) noexcept nogil
