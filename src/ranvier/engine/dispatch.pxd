"""Look-ahead, gates, the call."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Arg, Batch, Call, Client, Core

# Parse and execute what `data` holds; returns how many bytes of it are done with.
cdef size_t process_requests(Core *core, Client *client, char *data, size_t length)
# Run a request that was held back.
cdef void execute_again(Core *core, Client *client, Arg *args, size_t count) except *
# Look up and run a batch; returns how many requests were taken (executed or refused).
cdef size_t execute_batch(Core *core, Client *client, Batch *batch)

# Run a command that nothing refuses, and do everything that follows from having run it.
cdef void run(Call *call)
# Attribute the time since the last reading of the clock to the quick commands that ran in it.
cdef void settle_time(Core *core) noexcept nogil

# The arguments as a list, from the `first` one on.
cdef list arguments(Call *call, size_t first)
# An argument as errors show it: a C string, which ends at a NUL byte.
cdef bytes text_of(const Arg *arg)
