"""Where Ranvier's configuration differs from Valkey 9.1.2 on purpose, each with its reason."""

# CONFIG GET * of a fresh server.
DEFAULTS = {
    "dir": "the directory that each server was started in",
    "port": "each server has its own",
    "bind": "the harness gives 127.0.0.1",
    "save": "the harness turns snapshots off",
    "enable-debug-command": "the harness allows DEBUG",
    "syslog-ident": "names this server",
}

# Options of Redis 7.0 that Valkey swallows in a file and does not know in CONFIG: kept, for tools that set them.
REDIS_ONLY = ("dynamic-hz", "io-threads-do-reads", "sanitize-dump-payload")

# CONFIG SET is not tried on Valkey, because it acts at once or comes to grief.
NOT_SET_ON_VALKEY = {
    "bind": "listens again",
    "port": "listens again",
    "tls-port": "crashes a build without TLS",
    "tls-cluster": "crashes a build without TLS",
    "tls-replication": "crashes a build without TLS",
    "rdma-bind": "refused by a build without RDMA",
    "rdma-port": "refused by a build without RDMA",
    "locale-collate": "depends on the locales of the machine; Ranvier compares bytes",
    "requirepass": "asks for a password from then on",
    "maxclients": "depends on the limit of open files",
    "io-threads": "starts threads",
    "io-threads-always-active": "starts threads",
    "jemalloc-bg-thread": "refused by a build without jemalloc",
    "activedefrag": "refused by a build without jemalloc",
    "watchdog-period": "sends signals to the process",
    "oom-score-adj": "acts upon the process",
    "oom-score-adj-values": "acts upon the process",
    "maxmemory": "refuses writes from then on",
    "import-mode": "changes what expires",
    "tls-auto-reload-interval": "refused by a build without TLS",
    "repl-backlog-size": "allocates",
    "appendonly": "rewrites a file",
    "key-load-delay": "slows the server down",
    "rdb-key-save-delay": "slows the server down",
    "cluster-slot-stats-enabled": "needs cluster mode",
}

# (option, value) -> why Ranvier's answer is another one.
ANSWERS = {
    ("notify-keyspace-events", "AKEn"): "Valkey sets the class n beside A but does not show it, so a rewrite loses it",
    ("maxmemory-clients", "18446744073709551615"): "Valkey takes a huge number for a percentage",
    ("maxmemory-clients", "9223372036854775808"): "Valkey takes a huge number for a percentage",
    ("slot-migration-max-failover-repl-bytes", "18446744073709551615"): "Valkey takes 2**64-1 for -1",
    ("save", "1 "): "Valkey takes an empty word for 0",
    ("save", "2147483648 1"): "Valkey reads numbers beyond 32 bits into other numbers",
    ("save", "1 2147483648"): "Valkey reads numbers beyond 32 bits into other numbers",
}
OVERFLOW = "17179869184gb"  # 2**64 bytes: zero for Valkey, refused here
