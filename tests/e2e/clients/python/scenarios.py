"""Plays the scenarios of ../README.md through redis-py."""

import itertools
import os
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

LIMIT_SECONDS = 60  # for what takes milliseconds; reaching it means that something hangs
CLIENTS = 8  # that work at once


class App:
    """What a scenario needs: connections, and keys that no other program uses."""

    def __init__(self, address, protocol, prefix, password):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.protocol = int(protocol)
        self.prefix = prefix
        self.password = password

    def key(self, name):
        return self.prefix.encode() + (name if isinstance(name, bytes) else name.encode())

    def connect(self, **options):
        defaults = {
            "host": self.host,
            "port": self.port,
            "protocol": self.protocol,
            "password": self.password or None,
            "client_name": self.prefix.rstrip(":"),
            "socket_timeout": LIMIT_SECONDS,
        }
        return redis.Redis(**(defaults | options))

    def together(self, work):
        """Runs work(client, number) in CLIENTS threads, each with a connection of its own; returns what each returned."""
        results, errors = [None] * CLIENTS, []

        def one(number):
            try:
                with self.connect() as client:
                    results[number] = work(client, number)
            except Exception as error:  # it is raised again in the thread that reports
                errors.append(error)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results


def equal(what, got, want):
    if got != want or type(got) is not type(want):
        raise AssertionError(f"{what}: got {got!r:.120}, want {want!r:.120}")


def between(what, got, least, most):
    if not least <= got <= most:
        raise AssertionError(f"{what}: got {got!r}, want {least} to {most}")


def refused(what, error, text, call):
    """The call must fail with this error, which says this text."""
    try:
        got = call()
    except error as e:
        if text not in str(e):
            raise AssertionError(f"{what}: refused with {e}, want {text}") from e
    else:
        raise AssertionError(f"{what}: got {got!r}, want {text}")


def until(what, holds):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{LIMIT_SECONDS} s are over, and it isn't so that {what}")
        time.sleep(0.005)


def session_store(app, c):
    session, content = app.key("session:alice"), '{"user": "Alice", "cart": ["Müsli", 2]}'.encode()
    equal("SET EX", c.set(session, content, ex=1800), True)
    between("TTL after the login", c.ttl(session), 1700, 1800)
    equal("GET", c.get(session), content)
    equal("GETEX EX", c.getex(session, ex=3600), content)
    between("TTL after a request", c.ttl(session), 3500, 3600)
    equal("GETEX without an option", c.getex(session), content)
    between("TTL after GETEX without an option", c.ttl(session), 3400, 3600)
    equal("GETEX PERSIST", c.getex(session, persist=True), content)
    equal("TTL after PERSIST", c.ttl(session), -1)
    equal("GETDEL at logout", c.getdel(session), content)
    equal("GETDEL again", c.getdel(session), None)
    equal("GETEX after the logout", c.getex(session, ex=3600), None)
    equal("GET after the logout", c.get(session), None)
    equal("TTL after the logout", c.ttl(session), -2)

    unused = app.key("session:bob")
    equal("SET PX", c.set(unused, content, px=30), True)
    until("a session has expired", lambda: c.getex(unused) is None)
    equal("EXISTS of an expired session", c.exists(unused), 0)
    equal("TTL of an expired session", c.ttl(unused), -2)


WINDOW_SECONDS = 600


def hit(c, counter):
    """Counts one request; returns which one of its window it is, and whether it has begun the window."""
    pipe = c.pipeline(transaction=False)
    pipe.incr(counter)
    pipe.expire(counter, WINDOW_SECONDS, nx=True)
    count, began = pipe.execute()
    return count, began


def rate_limiter(app, c):
    counter = app.key("rate:alice")
    for n in range(1, 5):
        equal(f"request {n} of a window", hit(c, counter), (n, n == 1))
    between("TTL of the window", c.ttl(counter), WINDOW_SECONDS - 100, WINDOW_SECONDS)

    shared, limit, attempts = app.key("rate:everybody"), 100, 40
    counts = app.together(lambda client, _: [hit(client, shared) for _ in range(attempts)])
    hits = list(itertools.chain.from_iterable(counts))
    equal("requests admitted", sum(count <= limit for count, _ in hits), limit)
    equal("requests that began a window", sum(began for _, began in hits), 1)
    equal("requests counted", c.get(shared), b"%d" % (CLIENTS * attempts))

    equal("PEXPIRE", c.pexpire(shared, 20), True)
    until("the window is over", lambda: c.exists(shared) == 0)
    equal("the first request of the next window", hit(c, shared), (1, True))
    between("TTL of the next window", c.ttl(shared), WINDOW_SECONDS - 100, WINDOW_SECONDS)


class Catalogue:
    """Items in a slow database, cached in front of it."""

    def __init__(self, app):
        self.app = app
        self.items = {number: b"item %d" % number for number in range(20)}
        self.loads = 0

    def key(self, number):
        return self.app.key(f"item:{number}")

    def lifetime_ms(self, number):
        return 600_000 + number * 7919 % 60_000  # differs, so that not all expire at once

    def fetch(self, c, number):
        value = c.get(self.key(number))
        if value is None:
            value = self.items[number]
            self.loads += 1
            equal("SET NX PX", c.set(self.key(number), value, nx=True, px=self.lifetime_ms(number)), True)
        return value


def cache_aside(app, c):
    catalogue = Catalogue(app)
    for loads in (20, 20):  # the second time all are hits
        for number, value in catalogue.items.items():
            equal("an item", catalogue.fetch(c, number), value)
        equal("loads from the database", catalogue.loads, loads)
    for number in catalogue.items:
        most = catalogue.lifetime_ms(number)
        between("PTTL of an item", c.pttl(catalogue.key(number)), most - 100_000, most)
    equal("SET NX of a cached item", c.set(catalogue.key(3), b"late", nx=True, px=1000), None)

    equal("DEL after an update", c.delete(catalogue.key(3)), 1)
    equal("DEL again", c.delete(catalogue.key(3)), 0)
    values = c.mget([catalogue.key(number) for number in catalogue.items])
    equal("MGET", values, [None if number == 3 else value for number, value in catalogue.items.items()])
    catalogue.items[3] = b"item 3, updated"
    equal("an updated item", catalogue.fetch(c, 3), b"item 3, updated")

    hot = app.key("item:hot")
    won = app.together(lambda client, number: client.set(hot, b"from %d" % number, nx=True, px=600_000))
    equal("clients that have filled an item at once", won.count(True), 1)
    equal("what all of them read", c.get(hot), b"from %d" % won.index(True))


def counters(app, c):
    n = app.key("counter")
    equal("INCR of a missing key", c.incr(n), 1)
    equal("INCRBY", c.incrby(n, 41), 42)
    equal("DECRBY", c.decrby(n, 2), 40)
    equal("DECR", c.decr(n), 39)
    equal("GETSET", c.getset(n, 7), b"39")
    equal("SET GET", c.set(n, 10, get=True), b"7")
    equal("INCRBYFLOAT", c.incrbyfloat(n, 0.5), 10.5)
    equal("INCRBYFLOAT again", c.incrbyfloat(n, 0.1), 10.6)
    equal("what it leaves", c.get(n), b"10.6")
    equal("INCRBYFLOAT downwards", c.incrbyfloat(n, -10.6), 0.0)
    equal("a sum without a fraction", c.get(n), b"0")
    equal("GETSET of a missing key", c.getset(app.key("counter:new"), "a text"), None)

    refused("INCR of a text", redis.ResponseError, "value is not an integer or out of range",
            lambda: c.incr(app.key("counter:new")))
    refused("INCRBYFLOAT of a text", redis.ResponseError, "value is not a valid float",
            lambda: c.incrbyfloat(app.key("counter:new"), 1.5))
    equal("the text afterwards", c.get(app.key("counter:new")), b"a text")
    equal("SET", c.set(n, 2**63 - 1), True)
    refused("INCR beyond 64 bits", redis.ResponseError, "increment or decrement would overflow", lambda: c.incr(n))
    equal("the counter afterwards", c.get(n), b"%d" % (2**63 - 1))
    shared_counters(app, c)


def shared_counters(app, c):
    """Client 0 harvests while the others count: nothing is lost, and nothing is counted twice."""
    total, amount, rounds = app.key("counter:shared"), app.key("counter:amount"), 100

    def work(client, number):
        harvested = 0
        for turn in range(rounds):
            if number > 0:
                client.incrby(total, number)
                client.incrbyfloat(amount, 0.25)
            elif turn % 2 == 0:
                harvested += int(client.getset(total, 0) or 0)
            else:
                harvested += int(client.set(total, 0, get=True) or 0)
        return harvested

    harvested = sum(app.together(work))
    equal("the sum of all", harvested + int(c.get(total)), rounds * sum(range(CLIENTS)))
    equal("the sum of amounts", c.get(amount), b"%d" % (rounds * (CLIENTS - 1) // 4))


ALL_BYTES = bytes(range(256))
BULK, BATCH = 10_000, 500


def bulk_pair(app, i):
    """Key and value of number i; every byte value ends some key, and is in every value."""
    return app.key(b"bulk:%05d" % i + bytes([i % 256])), b"%d\r\n" % i + ALL_BYTES


def bulk_load(app, c):
    pairs = dict(bulk_pair(app, i) for i in range(2 * BULK))
    keys = list(pairs)
    pipe = c.pipeline(transaction=False)
    for key in keys[:BULK]:
        pipe.set(key, pairs[key])
    equal("a pipeline of SETs", pipe.execute(), [True] * BULK)
    for first in range(BULK, 2 * BULK, BATCH):
        pipe.mset({key: pairs[key] for key in keys[first:first + BATCH]})
    equal("a pipeline of MSETs", pipe.execute(), [True] * (BULK // BATCH))

    pattern = app.key("bulk:*")
    equal("SCAN", set(c.scan_iter(match=pattern, count=1000)), set(keys))
    for first in range(0, 2 * BULK, BATCH):
        batch = keys[first:first + BATCH]
        equal("MGET", c.mget(batch), [pairs[key] for key in batch])
    for first in range(0, 2 * BULK, BATCH):
        equal("UNLINK", c.unlink(*keys[first:first + BATCH]), BATCH)
    equal("UNLINK again", c.unlink(*keys[:BATCH]), 0)
    equal("SCAN afterwards", list(c.scan_iter(match=pattern, count=1000)), [])

    large, value = app.key("large"), ALL_BYTES * 4096
    equal("SET of 1 MiB", c.set(large, value), True)
    equal("STRLEN", c.strlen(large), len(value))
    equal("GET of 1 MiB", c.get(large), value)
    equal("DEL", c.delete(large), 1)


def passwords(app, c):
    equal("PING with the password", c.ping(), True)
    once = Retry(NoBackoff(), 0)  # redis-py would try a wrong password again and again, for seconds
    with app.connect(password=app.password + "x", retry=once) as wrong:
        refused("a wrong password", redis.AuthenticationError, "invalid username-password pair or user is disabled",
                lambda: wrong.get(app.key("secret")))
    with app.connect(password=None, retry=once) as none:
        text = "HELLO must be called with" if app.protocol == 3 else "Authentication required"
        refused("no password", redis.AuthenticationError, text, lambda: none.get(app.key("secret")))
    equal("GET with the password", c.get(app.key("secret")), None)


def restart(app, c):
    value, counter = app.key("restart"), app.key("restart:counter")
    equal("SET", c.set(value, ALL_BYTES), True)
    equal("INCR", c.incr(counter), 1)
    print("waiting restart", flush=True)
    sys.stdin.readline()

    def back():
        try:
            c.exists(value)
            return True
        except redis.RedisError as error:  # the old connection is dead, or the server is still loading
            print("after the restart:", error, file=sys.stderr)
            return False

    until("the client is back", back)
    equal("GET after the restart", c.get(value), ALL_BYTES)
    equal("INCR after the restart", c.incr(counter), 2)


SCENARIOS = {
    "session-store": session_store,
    "rate-limiter": rate_limiter,
    "cache-aside": cache_aside,
    "counters": counters,
    "bulk-load": bulk_load,
    "passwords": passwords,
    "restart": restart,
}


def main(address, protocol, prefix, *names):
    app = App(address, protocol, prefix, os.environ.get("CLIENT_PASSWORD", ""))
    failed = False
    for name in names:
        try:
            with app.connect() as client:
                SCENARIOS[name](app, client)
            print("ok", name, flush=True)
        except Exception as error:  # whatever it is, it is this scenario's result
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"failed {name}: {text}", flush=True)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
