"""Edge shapes of Python-handled commands: the same requests to Ranvier and Valkey, in one order, raw replies compared.

The random differential tests reach none of these for sure.
"""

import pytest

from harness.process import StartServer

LINES = """
flushall
set a 1
set b 2
rpush l 1
rename no x
rename a a
rename no no
renamenx a b
renamenx no b
renamenx a a
rename a
copy a c
copy a c
copy a c replace
copy a a
copy a a db 0
copy a a db 1
copy a a db 99
copy a a db x
copy a a db -1
copy a z foo
copy a z db
copy no z
copy a z db 1 db 2 replace replace
move a 0
move a 1
set a 1
move a 1
move a 99
move a x
move no 1
move a -1
touch a b no
touch
object encoding a
object encoding no
object encoding l
object freq a
object refcount a
object refcount no
object foo
object foo a
object help a
object encoding
object idletime no
object freq no
scan x
scan -1
scan 18446744073709551616
scan 0 count 0
scan 0 count -1
scan 0 count x
scan 0 match
scan 0 foo bar
scan 0 type
scan 0 type foo
scan 0 match nosuchkey count 1000
scan 0 type LIST count 1000
keys l
keys a b
randomkey x
select 9
randomkey
dbsize
select 0
flushall foo
flushall async sync
flushdb foo
swapdb 0 99
swapdb x 1
swapdb 0 x
swapdb 0 0
swapdb 0 1
dbsize
swapdb 0 1
dbsize
swapdb 0 -1
swapdb 0
dbsize x
dbsize
shutdown foo
shutdown save nosave
shutdown abort
shutdown abort now
shutdown abort abort
memory usage nokey
memory usage a samples -1
memory usage a samples
memory usage
memory usage a samples x
memory usage a foo 1
memory foo
debug object no
debug object
debug sleep 0
debug sleep x
debug sleep
debug sleep -1
debug set-active-expire 0
debug set-active-expire 1
debug set-active-expire x
debug foo
debug
slowlog get 0
slowlog get -2
slowlog get x
slowlog get 1 2
slowlog len x
slowlog reset x
slowlog foo
slowlog
lolwut version x
info foo
time x
command count x
command foo
command getkeys
command getkeys set a b
command getkeysandflags set a b get
command getkeys nosuch
command info mget
command info lmpop
command docs nosuch
command list foo
command list filterby pattern getd*
command list filterby pattern nosuch
config get maxmemory-policy
config get nosuch
client getname
client setname x
client getname
client foo
client id x
echo x
echo
ping
ping x
ping x y
select 16
select x
type a
exists a b a
ttl a
expire a 100 nx
expire a 100 nx
pexpiretime no
persist a
persist a
getex a ex 10
getdel b
command info nosuch get mget client|id
""".strip().splitlines()


@pytest.mark.parametrize("protocol", [2, 3])
def test_edge_shapes(start_server: StartServer, protocol: int) -> None:
    with start_server().connect(protocol=protocol) as ours, \
            start_server(kind="valkey").connect(protocol=protocol) as theirs:
        answers = [(line, ours.call(*line.split()).raw, theirs.call(*line.split()).raw) for line in LINES]
    assert [(line, our) for line, our, _ in answers] == [(line, their) for line, _, their in answers]
