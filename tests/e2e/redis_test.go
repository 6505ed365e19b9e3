package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialRedis connects go-redis, in RESP2 or RESP3.
func dialRedis(t *testing.T, p *process, protocol int) (context.Context, *redis.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	c := redis.NewClient(&redis.Options{Addr: p.addr, Protocol: protocol})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing go-redis: %v", err)
		}
		cancel()
	})
	return ctx, c
}

func eachProtocol(t *testing.T, f func(t *testing.T, ctx context.Context, c *redis.Client)) {
	p := start(t)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			ctx, c := dialRedis(t, p, protocol)
			if err := c.FlushAll(ctx).Err(); err != nil {
				t.Fatalf("FLUSHALL: %v", err)
			}
			f(t, ctx, c)
		})
	}
}

// check reports a call that failed or did not return what it should.
func check[T comparable](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
	}
}

func TestGoRedisStrings(t *testing.T) {
	eachProtocol(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		set, err := c.Set(ctx, "k", "v", 0).Result()
		check(t, "SET", set, err, "OK")
		got, err := c.Get(ctx, "k").Result()
		check(t, "GET", got, err, "v")
		if _, err := c.Get(ctx, "missing").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("GET of a missing key: %v, want redis.Nil", err)
		}
		stored, err := c.SetNX(ctx, "k", "other", 0).Result()
		check(t, "SET NX of a key that exists", stored, err, false)
		stored, err = c.SetXX(ctx, "k", "other", time.Minute).Result()
		check(t, "SET XX of a key that exists", stored, err, true)
		old, err := c.SetArgs(ctx, "k", "third", redis.SetArgs{Get: true, KeepTTL: true}).Result()
		check(t, "SET GET", old, err, "other")
		ttl, err := c.TTL(ctx, "k").Result()
		check(t, "TTL after KEEPTTL", ttl > 0, err, true)
		n, err := c.IncrBy(ctx, "n", 41).Result()
		check(t, "INCRBY", n, err, 41)
		n, err = c.Decr(ctx, "n").Result()
		check(t, "DECR", n, err, 40)
		if err := c.Incr(ctx, "k").Err(); err == nil || !strings.Contains(err.Error(), "not an integer") {
			t.Errorf("INCR of a text: %v", err)
		}
	})
}

func TestGoRedisKeys(t *testing.T) {
	eachProtocol(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		if err := c.MSet(ctx, "a", "1", "b", "2", "c", "3").Err(); err != nil {
			t.Fatal(err)
		}
		values, err := c.MGet(ctx, "a", "missing", "c").Result()
		if err != nil || fmt.Sprint(values) != "[1 <nil> 3]" {
			t.Errorf("MGET: %v, %v", values, err)
		}
		n, err := c.Exists(ctx, "a", "a", "missing").Result()
		check(t, "EXISTS", n, err, 2)
		n, err = c.DBSize(ctx).Result()
		check(t, "DBSIZE", n, err, 3)
		ok, err := c.PExpire(ctx, "a", time.Hour).Result()
		check(t, "PEXPIRE", ok, err, true)
		ok, err = c.Persist(ctx, "a").Result()
		check(t, "PERSIST", ok, err, true)
		ttl, err := c.PTTL(ctx, "a").Result()
		check(t, "PTTL without an expiry", ttl, err, -1)
		kind, err := c.Type(ctx, "a").Result()
		check(t, "TYPE", kind, err, "string")
		bytes, err := c.MemoryUsage(ctx, "a").Result()
		check(t, "MEMORY USAGE", bytes > 0, err, true)
		n, err = c.Del(ctx, "a", "b", "missing").Result()
		check(t, "DEL", n, err, 2)
		n, err = c.DBSize(ctx).Result()
		check(t, "DBSIZE after DEL", n, err, 1)
	})
}

func TestGoRedisScan(t *testing.T) {
	eachProtocol(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		const keys = 5000
		pipe := c.Pipeline()
		for i := range keys {
			pipe.Set(ctx, fmt.Sprintf("scan:%04d", i), i, 0)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatalf("a pipeline of %d SETs: %v", keys, err)
		}
		seen := map[string]bool{}
		it := c.Scan(ctx, 0, "scan:*", 100).Iterator()
		for it.Next(ctx) {
			seen[it.Val()] = true
		}
		if err := it.Err(); err != nil || len(seen) != keys {
			t.Errorf("SCAN has seen %d keys of %d: %v", len(seen), keys, err)
		}
	})
}

// lookUp finds a program that `make deps` installs.
func lookUp(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; type: make deps", name)
	}
	return path
}

func TestRedisCLI(t *testing.T) {
	p := start(t)
	cli := lookUp(t, "redis-cli")
	host, port, ok := strings.Cut(p.addr, ":")
	if !ok {
		t.Fatalf("no port in %q", p.addr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"set", "user_id", "42069"}, "OK\n"},
		{[]string{"get", "user_id"}, "42069\n"},
		{[]string{"incr", "user_id"}, "42070\n"},
		{[]string{"mset", "a", "1", "b", "2"}, "OK\n"},
		{[]string{"mget", "a", "nope", "b"}, "1\n\n2\n"},
		{[]string{"-3", "get", "nope"}, "\n"},
		{[]string{"del", "a", "b"}, "2\n"},
		{[]string{"dbsize"}, "1\n"},
		{[]string{"--scan"}, "user_id\n"},
		{[]string{"ping"}, "PONG\n"},
		{[]string{"get"}, "ERR wrong number of arguments for 'get' command\n\n"},
	} {
		r := command(t, "", cli, append([]string{"-h", host, "-p", port}, c.args...)...)
		if r.stdout != c.want {
			t.Errorf("redis-cli %q printed %q, stderr %q; want %q", c.args, r.stdout, r.stderr, c.want)
		}
	}
}

// The session of the README, as someone types it into nc.
func TestNetcat(t *testing.T) {
	p := start(t)
	nc := lookUp(t, "nc")
	host, port, _ := strings.Cut(p.addr, ":")
	input := "SET user_id 42069\nGET user_id\nDELETE user_id\nGET user_id\nQUIT\n"
	want := "+OK\r\n$5\r\n42069\r\n+OK\r\n$-1\r\n+OK\r\n"
	if r := command(t, input, nc, host, port); r.stdout != want {
		t.Errorf("nc printed %q, stderr %q; want %q", r.stdout, r.stderr, want)
	}
}

// A web page must not be able to write: a request line of HTTP ends the connection before anything runs.
func TestHTTPIsRefused(t *testing.T) {
	p := start(t)
	p.exchange(t, "POST / HTTP/1.1\r\nHost: example\r\n\r\nSET hacked 1\r\n")
	ctx, c := dialRedis(t, p, 2)
	n, err := c.DBSize(ctx).Result()
	check(t, "DBSIZE after an HTTP request", n, err, 0)
}

// Every verb that COMMAND lists is one that go-redis can look up, and the list has the verbs of this version.
func TestCommandTable(t *testing.T) {
	p := start(t)
	ctx, c := dialRedis(t, p, 2)
	commands, err := c.Command(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for _, name := range strings.Fields("get set del exists incr decr incrby decrby mget mset expire pexpire ttl pttl " +
		"persist type scan dbsize flushdb flushall memory ping echo hello client command config info select quit") {
		if commands[name] == nil {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("COMMAND does not list %v", missing)
	}
}
