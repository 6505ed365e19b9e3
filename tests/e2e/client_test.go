package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
)

// dial connects the project's own client, over the binary protocol.
func dial(t *testing.T, p *process) (context.Context, *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	c, err := client.Open(p.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
		cancel()
	})
	return ctx, c
}

func TestClientKeys(t *testing.T) {
	ctx, c := dial(t, start(t))
	if err := c.Set(ctx, "k", []byte(allBytes())); err != nil {
		t.Fatal(err)
	}
	value, err := c.Get(ctx, "k")
	check(t, "Get", string(value), err, allBytes())
	if _, err := c.Get(ctx, "missing"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Get of a missing key: %v, want ErrNotFound", err)
	}
	item, err := c.GetItem(ctx, "k")
	check(t, "GetItem", string(item.Value), err, allBytes())
	if _, err := c.CompareAndSwap(ctx, "k", []byte("new"), item.Version); err != nil {
		t.Errorf("CompareAndSwap with the version just read: %v", err)
	}
	_, err = c.CompareAndSwap(ctx, "k", []byte("late"), item.Version)
	if !errors.Is(err, client.ErrVersionMismatch) {
		t.Errorf("CompareAndSwap with an old version: %v, want ErrVersionMismatch", err)
	}
	n, err := c.Incr(ctx, "n", 5)
	check(t, "Incr", n, err, 5)
	if _, err := c.Incr(ctx, "k", 1); !errors.Is(err, client.ErrNotNumber) {
		t.Errorf("Incr of a text: %v, want ErrNotNumber", err)
	}
	if err := c.Expire(ctx, "k", time.Hour); err != nil {
		t.Errorf("Expire: %v", err)
	}
	ttl, err := c.TTL(ctx, "k")
	check(t, "TTL within the hour", ttl > 59*time.Minute && ttl <= time.Hour, err, true)
	if err := c.Delete(ctx, "k"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if err := c.Delete(ctx, "k"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Delete of a missing key: %v, want ErrNotFound", err)
	}
	count, err := c.Count(ctx)
	check(t, "Count", count, err, 1)
}

// What one protocol writes, the other one reads: there is one store behind one port.
func TestClientAndRedisShareTheStore(t *testing.T) {
	p := start(t)
	ctx, c := dial(t, p)
	rctx, r := dialRedis(t, p, 3)
	if err := c.Set(ctx, "shared", []byte("1"), client.WithTTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	n, err := r.IncrBy(rctx, "shared", 41).Result()
	check(t, "INCRBY of a key that the client has set", n, err, 42)
	ttl, err := r.TTL(rctx, "shared").Result()
	check(t, "its expiry", ttl > 59*time.Minute, err, true)
	value, err := c.Get(ctx, "shared")
	check(t, "Get of what INCRBY has written", string(value), err, "42")
}

// Values of all sizes around the limits of buffers, frames and large blocks.
func TestClientValueSizes(t *testing.T) {
	ctx, c := dial(t, start(t))
	for _, n := range []int{0, 1, 4095, 4096, 16383, 65535, 65536, 65537, 1 << 20, 17<<20 + 1} {
		value := bytes.Repeat([]byte(allBytes()), n/256+1)[:n]
		key := fmt.Sprintf("size:%d", n)
		if err := c.Set(ctx, key, value); err != nil {
			t.Fatalf("Set of %d bytes: %v", n, err)
		}
		got, err := c.Get(ctx, key)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("Get of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
}

// Goroutines that share a client lose no update, and a scan sees every key.
func TestClientConcurrently(t *testing.T) {
	ctx, c := dial(t, start(t))
	const goroutines, rounds = 16, 200
	failed := make(chan error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range rounds {
				_, err := c.Incr(ctx, "counter", 1)
				if err == nil {
					err = c.Set(ctx, fmt.Sprintf("g:%d:%d", g, i), []byte("x"))
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Errorf("a goroutine stopped: %v", err)
	}
	n, err := c.Incr(ctx, "counter", 0)
	check(t, "the counter", n, err, goroutines*rounds)
	seen := map[string]bool{}
	for e, err := range c.Scan(ctx, client.ScanOptions{Pattern: "g:*"}) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		seen[e.Key] = true
	}
	check(t, "keys seen by the scan", len(seen), nil, goroutines*rounds)
}

// A server that goes away leaves errors, not hangs and not short lists.
func TestClientLosesTheServer(t *testing.T) {
	p := start(t)
	ctx, c := dial(t, p)
	if err := c.Set(ctx, "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.exited; err == nil {
		t.Error("a killed server ended with status 0")
	}
	p.gone = true
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := c.Get(short, "k"); err == nil {
		t.Error("Get from a dead server succeeded")
	}
	for _, err := range c.Scan(short, client.ScanOptions{}) {
		if err == nil {
			t.Error("Scan of a dead server yielded a key")
		}
	}
	if strings.Contains(p.logged(), "panic") {
		t.Errorf("the server panicked:\n%s", p.logged())
	}
}
