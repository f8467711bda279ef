/* Makes the n-th call of one kind fail, once. Loaded in front of the C library (LD_PRELOAD).
 *
 * FAIL_CALLS names a file that holds one `struct order`; test and server share it as memory, so that a running server
 * is given one fault after the other. The layout is also known to tests/harness/failing_calls.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct order {
    volatile int left;      /* calls up to the one that fails; 0: none will */
    volatile int error;     /* its errno */
    volatile int hits;      /* how many have failed so far */
    char call[20];          /* its name */
};

static struct order *order;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAIL_CALLS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof(struct order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        order = page;
}

static int fails(const char *call) {
    if (order == NULL || order->left == 0 || strcmp(order->call, call) != 0)
        return 0;
    if (__sync_sub_and_fetch(&order->left, 1) != 0)
        return 0;
    __sync_fetch_and_add(&order->hits, 1);
    errno = order->error;
    return 1;
}

#define WRAP(type, name, parameters, arguments)                            \
    type name parameters {                                                 \
        static __typeof__(name) *real;                                     \
        if (real == NULL)                                                  \
            real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);            \
        return fails(#name) ? (type)-1 : real arguments;                   \
    }

typedef struct sockaddr *restrict address_t;
typedef socklen_t *restrict size_out_t;

WRAP(int, accept4, (int fd, address_t address, size_out_t size, int flags), (fd, address, size, flags))
WRAP(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
WRAP(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_ctl, (int poller, int operation, int fd, struct epoll_event *event), (poller, operation, fd, event))
WRAP(int, epoll_wait, (int poller, struct epoll_event *events, int most, int timeout), (poller, events, most, timeout))
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size), (fd, level, name, value, size))
WRAP(int, getsockname, (int fd, address_t address, size_out_t size), (fd, address, size))
WRAP(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(int, shutdown, (int fd, int how), (fd, how))

/* It fails, and has closed: so does the system's. */
int close(int fd) {
    static __typeof__(close) *real;
    if (real == NULL)
        real = (__typeof__(close) *)dlsym(RTLD_NEXT, "close");
    int result = real(fd);
    return fails("close") ? -1 : result;
}
