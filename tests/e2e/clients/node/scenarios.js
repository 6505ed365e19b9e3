// Plays the scenarios of ../README.md through ioredis; CLIENT_PACKAGE names the installed version.
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { Redis } = require(process.env.CLIENT_PACKAGE || "ioredis");

const limitMs = 60_000; // for what takes milliseconds; reaching it means that something hangs
const clients = 8; // that work at once

// An App is what a scenario needs: connections, and keys that no other program uses.
class App {
  constructor(address, protocol, prefix, password) {
    [this.host, this.port] = address.split(":");
    this.protocol = Number(protocol);
    this.prefix = prefix;
    this.password = password;
  }

  key(name) {
    return this.prefix + name;
  }

  options(password) {
    return {
      host: this.host,
      port: Number(this.port),
      protocol: this.protocol, // ioredis 5 doesn't know it, and speaks RESP2
      password: password || undefined,
      connectionName: this.prefix.replace(/:$/, ""),
      lazyConnect: true,
    };
  }

  // connect returns a client that is ready: it has read INFO, and the server isn't loading.
  async connect() {
    const client = new Redis(this.options(this.password));
    // ioredis connects again by itself, and without a listener it prints a stack trace for each attempt.
    client.on("error", (error) => console.error("connection:", error.message));
    await client.connect();
    return client;
  }

  // together runs work(client, number) with several clients at once and returns what each returned.
  async together(work) {
    const numbers = Array.from({ length: clients }, (_, number) => number);
    return Promise.all(
      numbers.map(async (number) => {
        const client = await this.connect();
        try {
          return await work(client, number);
        } finally {
          client.disconnect();
        }
      }),
    );
  }
}

function equal(what, got, want) {
  assert.deepEqual(got, want, `${what}: got ${show(got)}, want ${show(want)}`);
}

function show(value) {
  const text = Buffer.isBuffer(value) ? value.toString("latin1") : value;
  return String(JSON.stringify(text)).slice(0, 120);
}

function between(what, got, least, most) {
  assert.ok(got >= least && got <= most, `${what}: got ${show(got)}, want ${least} to ${most}`);
}

// refused demands that a call fails with an error that says this text.
async function refused(what, text, call) {
  let got;
  try {
    got = await call();
  } catch (error) {
    assert.ok(error.message.includes(text), `${what}: refused with ${error.message}, want ${text}`);
    return;
  }
  assert.fail(`${what}: got ${show(got)}, want ${text}`);
}

async function until(what, holds) {
  const deadline = Date.now() + limitMs;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `${limitMs} ms are over, and it isn't so that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// run executes a pipeline and returns the replies, none of which may be an error.
async function run(pipeline) {
  const replies = await pipeline.exec();
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

async function sessionStore(app, c) {
  const session = app.key("session:alice");
  const content = '{"user": "Alice", "cart": ["Müsli", 2]}';
  equal("SET EX", await c.set(session, content, "EX", 1800), "OK");
  between("TTL after the login", await c.ttl(session), 1700, 1800);
  equal("GET", await c.get(session), content);
  equal("GETEX EX", await c.getex(session, "EX", 3600), content);
  between("TTL after a request", await c.ttl(session), 3500, 3600);
  equal("GETEX without an option", await c.getex(session), content);
  between("TTL after GETEX without an option", await c.ttl(session), 3400, 3600);
  equal("GETEX PERSIST", await c.getex(session, "PERSIST"), content);
  equal("TTL after PERSIST", await c.ttl(session), -1);
  equal("GETDEL at logout", await c.getdel(session), content);
  equal("GETDEL again", await c.getdel(session), null);
  equal("GETEX after the logout", await c.getex(session, "EX", 3600), null);
  equal("GET after the logout", await c.get(session), null);
  equal("TTL after the logout", await c.ttl(session), -2);

  const unused = app.key("session:bob");
  equal("SET PX", await c.set(unused, content, "PX", 30), "OK");
  await until("a session has expired", async () => (await c.getex(unused)) === null);
  equal("EXISTS of an expired session", await c.exists(unused), 0);
  equal("TTL of an expired session", await c.ttl(unused), -2);
}

const windowSeconds = 600;

// hit counts one request; it returns which one of its window it is, and whether it has begun the window.
async function hit(c, counter) {
  return run(c.pipeline().incr(counter).expire(counter, windowSeconds, "NX"));
}

async function rateLimiter(app, c) {
  const counter = app.key("rate:alice");
  for (let n = 1; n <= 4; n++) {
    equal(`request ${n} of a window`, await hit(c, counter), [n, n === 1 ? 1 : 0]);
  }
  between("TTL of the window", await c.ttl(counter), windowSeconds - 100, windowSeconds);

  const shared = app.key("rate:everybody");
  const [limit, attempts] = [100, 40];
  const work = async (client) => {
    const hits = [];
    while (hits.length < attempts) hits.push(await hit(client, shared));
    return hits;
  };
  const hits = (await app.together(work)).flat();
  equal("requests admitted", hits.filter(([count]) => count <= limit).length, limit);
  equal("requests that began a window", hits.filter(([, began]) => began === 1).length, 1);
  equal("requests counted", await c.get(shared), String(clients * attempts));

  equal("PEXPIRE", await c.pexpire(shared, 20), 1);
  await until("the window is over", async () => (await c.exists(shared)) === 0);
  equal("the first request of the next window", await hit(c, shared), [1, 1]);
  between("TTL of the next window", await c.ttl(shared), windowSeconds - 100, windowSeconds);
}

// A Catalogue is items in a slow database, cached in front of it.
class Catalogue {
  constructor(app) {
    this.items = Array.from({ length: 20 }, (_, number) => `item ${number}`);
    this.keys = this.items.map((_, number) => app.key(`item:${number}`));
    this.loads = 0;
  }

  lifetimeMs(number) {
    return 600_000 + ((number * 7919) % 60_000); // differs, so that not all expire at once
  }

  async fetch(c, number) {
    const cached = await c.get(this.keys[number]);
    if (cached !== null) return cached;
    this.loads++;
    const value = this.items[number];
    equal("SET PX NX", await c.set(this.keys[number], value, "PX", this.lifetimeMs(number), "NX"), "OK");
    return value;
  }
}

async function cacheAside(app, c) {
  const catalogue = new Catalogue(app);
  for (const turn of ["misses", "hits"]) {
    for (const [number, value] of catalogue.items.entries()) {
      equal(`an item, ${turn}`, await catalogue.fetch(c, number), value);
    }
    equal(`loads from the database, ${turn}`, catalogue.loads, 20);
  }
  for (const [number, key] of catalogue.keys.entries()) {
    const most = catalogue.lifetimeMs(number);
    between("PTTL of an item", await c.pttl(key), most - 100_000, most);
  }
  equal("SET NX of a cached item", await c.set(catalogue.keys[3], "late", "PX", 1000, "NX"), null);

  equal("DEL after an update", await c.del(catalogue.keys[3]), 1);
  equal("DEL again", await c.del(catalogue.keys[3]), 0);
  const cached = catalogue.items.map((value, number) => (number === 3 ? null : value));
  equal("MGET", await c.mget(catalogue.keys), cached);
  catalogue.items[3] = "item 3, updated";
  equal("an updated item", await catalogue.fetch(c, 3), "item 3, updated");

  const hot = app.key("item:hot");
  const won = await app.together((client, number) => client.set(hot, `from ${number}`, "PX", 600_000, "NX"));
  equal("clients that have filled an item at once", won.filter((reply) => reply === "OK").length, 1);
  equal("what all of them read", await c.get(hot), `from ${won.indexOf("OK")}`);
}

async function counters(app, c) {
  const n = app.key("counter");
  const text = app.key("counter:new");
  equal("INCR of a missing key", await c.incr(n), 1);
  equal("INCRBY", await c.incrby(n, 41), 42);
  equal("DECRBY", await c.decrby(n, 2), 40);
  equal("DECR", await c.decr(n), 39);
  equal("GETSET", await c.getset(n, 7), "39");
  equal("SET GET", await c.set(n, 10, "GET"), "7");
  equal("INCRBYFLOAT", await c.incrbyfloat(n, 0.5), "10.5");
  equal("INCRBYFLOAT again", await c.incrbyfloat(n, 0.1), "10.6");
  equal("what it leaves", await c.get(n), "10.6");
  equal("INCRBYFLOAT downwards", await c.incrbyfloat(n, -10.6), "0");
  equal("a sum without a fraction", await c.get(n), "0");
  equal("GETSET of a missing key", await c.getset(text, "a text"), null);

  await refused("INCR of a text", "value is not an integer or out of range", () => c.incr(text));
  await refused("INCRBYFLOAT of a text", "value is not a valid float", () => c.incrbyfloat(text, 1.5));
  equal("the text afterwards", await c.get(text), "a text");
  const most = (2n ** 63n - 1n).toString();
  equal("SET", await c.set(n, most), "OK");
  await refused("INCR beyond 64 bits", "increment or decrement would overflow", () => c.incr(n));
  equal("the counter afterwards", await c.get(n), most);
  await sharedCounters(app, c);
}

// sharedCounters: client 0 harvests while the others count; nothing is lost, and nothing is counted twice.
async function sharedCounters(app, c) {
  const total = app.key("counter:shared");
  const amount = app.key("counter:amount");
  const rounds = 100;
  const work = async (client, number) => {
    let harvested = 0;
    for (let turn = 0; turn < rounds; turn++) {
      if (number > 0) {
        await client.incrby(total, number);
        await client.incrbyfloat(amount, 0.25);
      } else {
        harvested += Number(turn % 2 ? await client.set(total, 0, "GET") : await client.getset(total, 0));
      }
    }
    return harvested;
  };
  const [harvested] = await app.together(work);
  const sum = (clients * (clients - 1)) / 2;
  equal("the sum of all", harvested + Number(await c.get(total)), rounds * sum);
  equal("the sum of amounts", await c.get(amount), String((rounds * (clients - 1)) / 4));
}

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const [bulk, batch] = [10_000, 500];

// bulkPair is key and value of number i; every byte value ends some key, and is in every value.
function bulkPair(app, i) {
  const key = Buffer.from(app.key(`bulk:${String(i).padStart(5, "0")}`));
  return [Buffer.concat([key, allBytes.subarray(i % 256, (i % 256) + 1)]), Buffer.concat([Buffer.from(`${i}\r\n`), allBytes])];
}

// scan returns every key that matches, each once, as strings of one character a byte.
async function scan(c, pattern) {
  const seen = new Set();
  for await (const keys of c.scanBufferStream({ match: pattern, count: 1000 })) {
    for (const key of keys) seen.add(key.toString("latin1"));
  }
  return seen;
}

async function bulkLoad(app, c) {
  const pairs = Array.from({ length: 2 * bulk }, (_, i) => bulkPair(app, i));
  const keys = pairs.map(([key]) => key);
  const batches = Array.from({ length: (2 * bulk) / batch }, (_, i) => pairs.slice(i * batch, (i + 1) * batch));

  const sets = c.pipeline();
  for (const [key, value] of pairs.slice(0, bulk)) sets.set(key, value);
  equal("a pipeline of SETs", await run(sets), Array(bulk).fill("OK"));
  const msets = c.pipeline();
  for (const some of batches.slice(batches.length / 2)) msets.mset(some.flat());
  equal("a pipeline of MSETs", await run(msets), Array(bulk / batch).fill("OK"));

  equal("SCAN", await scan(c, app.key("bulk:*")), new Set(keys.map((key) => key.toString("latin1"))));
  for (const some of batches) {
    const got = await c.mgetBuffer(some.map(([key]) => key));
    equal("length of MGET", got.length, batch);
    some.forEach(([, value], i) => assert.ok(value.equals(got[i]), `MGET: got ${show(got[i])}, want ${show(value)}`));
  }
  for (const some of batches) {
    equal("UNLINK", await c.unlink(some.map(([key]) => key)), batch);
  }
  equal("UNLINK again", await c.unlink(keys.slice(0, batch)), 0);
  equal("SCAN afterwards", await scan(c, app.key("bulk:*")), new Set());

  const large = app.key("large");
  const value = Buffer.concat(Array(4096).fill(allBytes));
  equal("SET of 1 MiB", await c.set(large, value), "OK");
  equal("STRLEN", await c.strlen(large), value.length);
  assert.ok(value.equals(await c.getBuffer(large)), "GET of 1 MiB returns something else");
  equal("DEL", await c.del(large), 1);
}

// told is what the server says to a client with another password: the error that ends its connection, or that of a GET.
async function told(app, password) {
  const client = new Redis({ ...app.options(password), retryStrategy: null });
  const error = once(client, "error").then(([reason]) => reason.message);
  const reply = client.get(app.key("secret")).then(
    () => "GET was answered",
    (reason) => reason.message,
  );
  try {
    return await Promise.race([error, reply]);
  } finally {
    client.disconnect();
  }
}

async function passwords(app, c) {
  equal("PING with the password", await c.ping(), "PONG");
  const wrong = await told(app, `${app.password}x`);
  assert.ok(wrong.startsWith("WRONGPASS "), `a wrong password: told ${wrong}`);
  const none = await told(app, "");
  assert.ok(none.startsWith("NOAUTH "), `no password: told ${none}`);
  equal("GET with the password", await c.get(app.key("secret")), null);
}

async function restart(app, c) {
  const value = app.key("restart");
  const counter = app.key("restart:counter");
  equal("SET", await c.set(value, allBytes), "OK");
  equal("INCR", await c.incr(counter), 1);
  console.log("waiting restart");
  await once(process.stdin, "data");
  process.stdin.pause();
  await until("the client is back", async () => {
    try {
      await c.exists(value);
      return true;
    } catch (error) {
      console.error("after the restart:", error.message); // the old connection is dead
      return false;
    }
  });
  equal("GET after the restart", await c.getBuffer(value), allBytes);
  equal("INCR after the restart", await c.incr(counter), 2);
}

const scenarios = {
  "session-store": sessionStore,
  "rate-limiter": rateLimiter,
  "cache-aside": cacheAside,
  counters,
  "bulk-load": bulkLoad,
  passwords,
  restart,
};

async function play(app, name) {
  const client = await app.connect();
  try {
    await scenarios[name](app, client);
  } finally {
    client.disconnect();
  }
}

async function main([address, protocol, prefix, ...names]) {
  const app = new App(address, protocol, prefix, process.env.CLIENT_PASSWORD);
  let status = 0;
  for (const name of names) {
    try {
      await play(app, name);
      console.log("ok", name);
    } catch (error) {
      console.log(`failed ${name}: ${String(error).replace(/\s+/g, " ").slice(0, 500)}`);
      status = 1;
    }
  }
  return status;
}

// ioredis 5 keeps a timer running for two seconds after a large value; nothing is left to wait for.
main(process.argv.slice(2)).then((status) => process.exit(status));
