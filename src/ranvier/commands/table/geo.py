"""Commands of the group geo. Notation: see `commands/spec.py`."""

from functools import partial

from ranvier.commands.spec import Command

command = partial(Command, group="geo")

COMMANDS = (
    command(
        "GEOADD", -5, "write denyoom", "1 RW update",
        since="3.2.0",
        complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        summary="Adds members with their coordinates.",
        arguments="key@0 [condition(NX | XX)^6.2.0] [change=CH^6.2.0] data(longitude:double latitude:double "
                  "member)...",
        propagated="ZADD key score member...",
        handler="geo:geoadd",
    ),
    command(
        "GEODIST", -4, "readonly", "1 RO access",
        since="3.2.0", complexity="O(1)",
        summary="Returns the distance between two members.",
        arguments="key@0 member1 member2 [unit(M | KM | FT | MI)]",
        handler="geo:geodist",
    ),
    command(
        "GEOHASH", -2, "readonly", "1 RO access",
        since="3.2.0", complexity="O(1) for each member requested.",
        summary="Returns the geohashes of members.",
        arguments="key@0 [member...]",
        handler="geo:geohash",
    ),
    command(
        "GEOPOS", -2, "readonly", "1 RO access",
        since="3.2.0", complexity="O(1) for each member requested.",
        summary="Returns the coordinates of members.",
        arguments="key@0 [member...]",
        handler="geo:geopos",
    ),
    command(
        "GEORADIUS", -6, "write denyoom",
        "1 RO access; STORE@6 OW update variable_flags; STOREDIST@6 OW update variable_flags",
        since="3.2.0", complexity="O(N+log(M)) for N members in the bounding box and M in the index.",
        summary="Finds members around a point; can store them.",
        arguments="key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) [WITHCOORD] "
                  "[WITHDIST] [WITHHASH] [count-block(COUNT count:integer [ANY^6.2.0])] [order(ASC | DESC)] "
                  "[store(STORE storekey@1<key> | STOREDIST storedistkey@2<key>)]",
        propagated="DEL destination, then ZADD destination score member...",
        handler="geo:georadius",
    ),
    command(
        "GEORADIUS_RO", -6, "readonly", "1 RO access",
        since="3.2.10", complexity="O(N+log(M)) for N members in the bounding box and M in the index.",
        summary="Finds members around a point.",
        arguments="key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) [WITHCOORD] "
                  "[WITHDIST] [WITHHASH] [count-block(COUNT count:integer [ANY^6.2.0])] [order(ASC | DESC)]",
        handler="geo:georadius_ro",
    ),
    command(
        "GEORADIUSBYMEMBER", -5, "write denyoom",
        "1 RO access; STORE@5 OW update variable_flags; STOREDIST@5 OW update variable_flags",
        since="3.2.0", complexity="O(N+log(M)) for N members in the bounding box and M in the index.",
        summary="Finds members around a member; can store them.",
        arguments="key@0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
                  "[count-block(COUNT count:integer [ANY])] [order(ASC | DESC)] [store(STORE storekey@1<key> | "
                  "STOREDIST storedistkey@2<key>)]",
        propagated="DEL destination, then ZADD destination score member...",
        handler="geo:georadiusbymember",
    ),
    command(
        "GEORADIUSBYMEMBER_RO", -5, "readonly", "1 RO access",
        since="3.2.10", complexity="O(N+log(M)) for N members in the bounding box and M in the index.",
        summary="Finds members around a member.",
        arguments="key@0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
                  "[count-block(COUNT count:integer [ANY])] [order(ASC | DESC)]",
        handler="geo:georadiusbymember_ro",
    ),
    command(
        "GEOSEARCH", -7, "readonly", "1 RO access",
        since="6.2.0", complexity="O(N+log(M)) for N members in the bounding box of the shape and M in the shape.",
        summary="Finds members inside a circle, box or polygon.",
        arguments="key@0 [from(FROMMEMBER member | FROMLONLAT fromlonlat(longitude:double latitude:double))] "
                  "by(circle(BYRADIUS radius:double unit(M | KM | FT | MI)) | box(BYBOX width:double height:double "
                  "unit(M | KM | FT | MI)) | polygon(BYPOLYGON num-vertices:integer vertices(longitude:double "
                  "latitude:double)...)^9.0.0) [order(ASC | DESC)] [count-block(COUNT count:integer [ANY])] "
                  "[WITHCOORD] [WITHDIST] [WITHHASH]",
        handler="geo:geosearch",
    ),
    command(
        "GEOSEARCHSTORE", -8, "write denyoom", "1 OW update; 2 RO access",
        since="6.2.0", complexity="O(N+log(M)) for N members in the bounding box of the shape and M in the shape.",
        summary="Stores the members inside a circle, box or polygon.",
        arguments="destination@0 source@1 [from(FROMMEMBER member | FROMLONLAT fromlonlat(longitude:double "
                  "latitude:double))] by(circle(BYRADIUS radius:double unit(M | KM | FT | MI)) | box(BYBOX "
                  "width:double height:double unit(M | KM | FT | MI)) | polygon(BYPOLYGON num-vertices:integer "
                  "vertices(longitude:double latitude:double)...)^9.0.0) [order(ASC | DESC)] [count-block(COUNT "
                  "count:integer [ANY])] [STOREDIST]",
        propagated="DEL destination, then ZADD destination score member...",
        handler="geo:geosearchstore",
    ),
)
