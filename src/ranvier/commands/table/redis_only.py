"""Commands of Redis 8 that neither Valkey 9.1 nor Ranvier has: so that docs/commands.md shows them as missing.

One that arrives moves to the file of its group, where its record becomes whole.
"""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, categories="", own=True)
array = partial(command, group="array", since="8.8.0")
vectors = partial(command, group="vector-set", since="8.0.0")
server = partial(command, group="server")

COMMANDS = (
    array("ARCOUNT", 2, "readonly fast", summary="Counts the elements of an array that are set."),
    array("ARDEL", -3, "write fast", summary="Deletes elements of an array by their indexes."),
    array("ARDELRANGE", -4, "write", summary="Deletes elements of an array in ranges of indexes."),
    array("ARGET", 3, "readonly fast", summary="Returns the element of an array at an index."),
    array("ARGETRANGE", 4, "readonly", summary="Returns the elements of an array in a range of indexes."),
    array("ARGREP", -6, "readonly", summary="Searches the elements of an array."),
    array("ARINFO", -2, "readonly", summary="Describes an array."),
    array("ARINSERT", -3, "write denyoom fast", summary="Adds elements at an array's insert position."),
    array("ARLASTITEMS", -3, "readonly", summary="Returns the elements that were inserted last."),
    array("ARLEN", 2, "readonly fast", summary="Returns the length of an array."),
    array("ARMGET", -3, "readonly fast", summary="Returns elements of an array at some indexes."),
    array("ARMSET", -4, "write denyoom fast", summary="Sets elements of an array at some indexes."),
    array("ARNEXT", 2, "readonly fast", summary="Returns an array's insert position."),
    array("AROP", -5, "readonly", summary="Aggregates the elements of an array."),
    array("ARRING", -4, "write denyoom", summary="Adds elements to an array of bounded size, over the oldest."),
    array("ARSCAN", -4, "readonly", summary="Iterates over the elements of an array that are set."),
    array("ARSEEK", 3, "write fast", summary="Sets an array's insert position."),
    array("ARSET", -4, "write denyoom fast", summary="Sets elements of an array from an index on."),

    server("BACKUP", 2, since="8.10.0", summary="A container for backup commands."),
    server("BACKUP ABORT", 2, "admin noscript", since="8.10.0", summary="Ends a backup without its files."),
    server("BACKUP CLEANUP", 2, "admin noscript", since="8.10.0", summary="Removes the files of a backup."),
    server("BACKUP HELP", 2, "loading stale", since="8.10.0", summary="Returns help about the subcommands."),
    server("BACKUP LIST", 2, "admin stale", since="8.10.0", summary="Lists the files of a backup."),
    server("BACKUP SEAL", 2, "admin noscript", since="8.10.0", summary="Completes the files of a backup."),
    server("BACKUP START", 2, "admin noscript", since="8.10.0", summary="Begins a backup."),
    server("BACKUP STATUS", 2, "admin stale", since="8.10.0", summary="Tells the state of a backup."),

    command("CLUSTER MIGRATION", -4, "admin stale no_async_loading", group="cluster", since="8.4.0",
            summary="Moves slots between nodes of a cluster."),

    command("HIMPORT", -2, group="hash", since="8.10.0", summary="A container for commands on sets of fields."),
    command("HIMPORT DISCARD", 3, group="hash", since="8.10.0", summary="Forgets a set of fields."),
    command("HIMPORT DISCARDALL", 2, group="hash", since="8.10.0", summary="Forgets all sets of fields."),
    command("HIMPORT PREPARE", -4, "denyoom", group="hash", since="8.10.0", summary="Names a set of fields."),
    command("HIMPORT SET", -5, "write denyoom", group="hash", since="8.10.0",
            summary="Sets the values of a hash by a set of fields."),

    server("HOTKEYS", -2, since="8.6.0", summary="A container for commands that find busy keys."),
    server("HOTKEYS GET", 2, "admin noscript", since="8.6.0", summary="Returns the busiest keys."),
    server("HOTKEYS HELP", 2, "loading stale", since="8.6.1", summary="Returns help about the subcommands."),
    server("HOTKEYS RESET", 2, "admin noscript", since="8.6.0", summary="Forgets what was gathered about keys."),
    server("HOTKEYS START", -2, "admin noscript", since="8.6.0", summary="Begins to gather what keys cost."),
    server("HOTKEYS STOP", 2, "admin noscript", since="8.6.0", summary="Ends gathering what keys cost."),

    server("SFLUSH", -3, "write", since="8.0.0", summary="Removes the keys of slots."),
    server("TRIMSLOTS", -5, "write", since="8.4.0", summary="Removes the keys of slots that moved away."),

    vectors("VADD", -5, "write denyoom module", "1 RW insert", summary="Adds an element with its vector."),
    vectors("VCARD", 2, "readonly module fast", "1 RO", summary="Counts the elements of a vector set."),
    vectors("VDIM", 2, "readonly module fast", "1 RO", summary="Returns the dimension of a vector set."),
    vectors("VEMB", -3, "readonly module fast", "1 RO access", summary="Returns the vector of an element."),
    vectors("VGETATTR", 3, "readonly module fast", "1 RO access", summary="Returns the attributes of an element."),
    vectors("VINFO", 2, "readonly module fast", "1 RO", summary="Describes a vector set."),
    vectors("VISMEMBER", 3, "readonly module", "1 RO", since="8.2.0", summary="Tells whether there is an element."),
    vectors("VLINKS", -3, "readonly module fast", "1 RO access", summary="Returns the neighbours of an element."),
    vectors("VRANDMEMBER", -2, "readonly module", "1 RO access", summary="Returns random elements."),
    vectors("VRANGE", -4, "readonly module", "1 RO access", since="8.4.0", summary="Returns elements in their order."),
    vectors("VREM", 3, "write module", "1 RW delete", summary="Removes an element."),
    vectors("VSETATTR", 4, "write module fast", "1 RW update", summary="Sets the attributes of an element."),
    vectors("VSIM", -4, "readonly module", "1 RO access", summary="Returns the elements that are most similar."),

    command("XCFGSET", -2, "write fast", "1 RW update", group="stream", since="8.6.0",
            summary="Sets how long a stream remembers the ids of producers."),
    command("XIDMPRECORD", 5, "write denyoom fast", "1 RW update", group="stream", since="8.6.2",
            summary="Records a producer's id of an entry."),
    command("XNACK", -7, "write fast", "1 RW update", group="stream", since="8.8.0",
            summary="Gives messages of a consumer group back."),
)
