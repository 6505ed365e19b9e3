package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// testClient connects to a fake server; both end with the test.
func testClient(t testing.TB, s *fakeServer, o *Options) *Client {
	t.Helper()
	c, err := Open(s.addr(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// limited returns a context that keeps a broken test from hanging.
func limited(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestOpenChecksItsArguments(t *testing.T) {
	for _, addr := range []string{"", "localhost", "localhost:", "1:2:3"} {
		if _, err := Open(addr, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", addr)) {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for _, o := range []Options{{Conns: -1}, {MaxPending: -1}, {DialTimeout: -1}, {Name: "two words"}, {Name: strings.Repeat("n", 2000)}} {
		if _, err := Open("localhost:6379", &o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// every option of the connection must carry every kind of request.
func TestCommands(t *testing.T) {
	for name, o := range map[string]Options{
		"default": {}, "checksums": {Checksums: true}, "one request at a time": {Conns: 1, MaxPending: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t).start()
			c, ctx := testClient(t, s, &o), limited(t)
			checkSingleKeys(t, ctx, c)
			checkExpiry(t, ctx, c)
			checkVersions(t, ctx, c)
			checkMany(t, ctx, c)
			checkEdits(t, ctx, c)
			checkConditions(t, ctx, c)
			checkNames(t, ctx, c)
			checkWholeStore(t, ctx, c)
		})
	}
}

func checkSingleKeys(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	_, err := c.Get(ctx, "k")
	wantErr(t, err, ErrNotFound)
	must(t, c.Set(ctx, "k", []byte("v")))
	v, err := c.Get(ctx, "k")
	if err != nil || string(v) != "v" {
		t.Errorf("Get: %q, %v", v, err)
	}
	v, err = c.GetInto(ctx, "k", []byte("prefix "))
	if err != nil || string(v) != "prefix v" {
		t.Errorf("GetInto: %q, %v", v, err)
	}
	v, err = c.GetInto(ctx, "nope", []byte("kept"))
	if string(v) != "kept" {
		t.Errorf("GetInto of a missing key returned %q", v)
	}
	wantErr(t, err, ErrNotFound)
	must(t, c.Set(ctx, "empty", nil))
	if v, err = c.Get(ctx, "empty"); err != nil || v == nil || len(v) != 0 {
		t.Errorf("empty value: %#v, %v", v, err)
	}
	if ok, err := c.Exists(ctx, "k"); err != nil || !ok {
		t.Errorf("Exists: %v, %v", ok, err)
	}
	must(t, c.Delete(ctx, "k"))
	wantErr(t, c.Delete(ctx, "k"), ErrNotFound)
	if ok, err := c.Exists(ctx, "k"); err != nil || ok {
		t.Errorf("Exists after Delete: %v, %v", ok, err)
	}
	if n, err := c.Incr(ctx, "n", -3); err != nil || n != -3 {
		t.Errorf("Incr: %d, %v", n, err)
	}
	_, err = c.Incr(ctx, "empty", 1)
	wantErr(t, err, ErrNotNumber)
	wantErr(t, c.Set(ctx, strings.Repeat("k", 1<<16), nil), ErrTooLarge)
	if n, err := c.MemoryUsage(ctx, "n"); err != nil || n == 0 {
		t.Errorf("MemoryUsage: %d, %v", n, err)
	}
}

func checkExpiry(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	must(t, c.Set(ctx, "t", []byte("1"), WithTTL(time.Hour)))
	ttl, err := c.TTL(ctx, "t")
	if err != nil || ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL: %v, %v", ttl, err)
	}
	must(t, c.Set(ctx, "t", []byte("2"), KeepTTL()))
	if removed, err := c.Persist(ctx, "t"); err != nil || !removed {
		t.Errorf("Persist: %v, %v", removed, err)
	}
	if removed, err := c.Persist(ctx, "t"); err != nil || removed {
		t.Errorf("Persist again: %v, %v", removed, err)
	}
	if ttl, err = c.TTL(ctx, "t"); err != nil || ttl != NoExpiry {
		t.Errorf("TTL of a lasting key: %v, %v", ttl, err)
	}
	at := time.UnixMilli(4102444800000)
	must(t, c.ExpireAt(ctx, "t", at))
	if item, err := c.GetItem(ctx, "t"); err != nil || !item.Expires.Equal(at) || string(item.Value) != "2" {
		t.Errorf("GetItem: %+v, %v", item, err)
	}
	must(t, c.Expire(ctx, "t", time.Minute))
	wantErr(t, c.Expire(ctx, "nope", time.Minute), ErrNotFound)
	wantErr(t, c.Expire(ctx, "t", 0), ErrInvalid)
	wantErr(t, c.Set(ctx, "t", nil, WithTTL(-1)), ErrInvalid)
	wantErr(t, c.Set(ctx, "t", nil, WithTTL(1), KeepTTL()), ErrInvalid)
	wantErr(t, c.Set(ctx, "t", nil, IfAbsent(), IfPresent()), ErrInvalid)
	wantErr(t, c.Set(ctx, "t", nil, IfAbsent()), ErrNotStored)
	wantErr(t, c.Set(ctx, "nope", nil, IfPresent()), ErrNotStored)
}

func checkVersions(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	v1, err := c.CompareAndSwap(ctx, "cas", []byte("a"), 0)
	must(t, err)
	_, err = c.CompareAndSwap(ctx, "cas", []byte("b"), 0)
	wantErr(t, err, ErrVersionMismatch)
	v2, err := c.CompareAndSwap(ctx, "cas", []byte("b"), v1)
	if err != nil || v2 <= v1 {
		t.Errorf("versions %d, then %d, %v", v1, v2, err)
	}
	v3, err := c.SetVersion(ctx, "cas", []byte("c"))
	if item, err2 := c.GetItem(ctx, "cas"); err != nil || err2 != nil || item.Version != v3 || !item.Expires.IsZero() {
		t.Errorf("SetVersion gave %d (%v), the item is %+v (%v)", v3, err, item, err2)
	}
}

func checkMany(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	must(t, c.MSet(ctx, []KV{{Key: "m1", Value: []byte("1")}, {Key: "m2", Value: []byte{}}}, WithTTL(time.Hour)))
	wantErr(t, c.MSet(ctx, []KV{{Key: "m1"}}, IfAbsent()), ErrInvalid)
	values, err := c.MGet(ctx, "m2", "nope", "m1")
	if err != nil || len(values) != 3 || values[0] == nil || values[1] != nil || string(values[2]) != "1" {
		t.Errorf("MGet: %q, %v", values, err)
	}
	if n, err := c.ExistsMany(ctx, "m1", "m1", "nope"); err != nil || n != 2 {
		t.Errorf("ExistsMany: %d, %v", n, err)
	}
	if n, err := c.DeleteMany(ctx, "m1", "m2", "nope"); err != nil || n != 2 {
		t.Errorf("DeleteMany: %d, %v", n, err)
	}
	if n, err := c.DeleteMany(ctx); err != nil || n != 0 {
		t.Errorf("DeleteMany of nothing: %d, %v", n, err)
	}
}

func checkWholeStore(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	must(t, c.Ping(ctx))
	must(t, c.Flush(ctx))
	want := map[string]bool{}
	for i := range 25 {
		key := fmt.Sprintf("key%02d", i)
		want[key] = true
		must(t, c.Set(ctx, key, []byte("value")))
	}
	if n, err := c.Count(ctx); err != nil || n != 25 {
		t.Errorf("Count: %d, %v", n, err)
	}
	for e, err := range c.Scan(ctx, ScanOptions{Count: 7, Metadata: true}) {
		must(t, err)
		if !want[e.Key] || e.Size != 5 || e.Version == 0 {
			t.Errorf("Scan: unexpected %+v", e)
		}
		delete(want, e.Key)
	}
	if len(want) != 0 {
		t.Errorf("Scan missed %v", want)
	}
	for range c.Scan(ctx, ScanOptions{Count: 7}) {
		break // leaving the loop must leave nothing behind
	}
	if b, err := c.Echo(ctx, []byte("echo")); err != nil || string(b) != "echo" {
		t.Errorf("Echo: %q, %v", b, err)
	}
	if text, err := c.Stats(ctx, "memory"); err != nil || text != "memory" {
		t.Errorf("Stats: %q, %v", text, err)
	}
}

func TestBatch(t *testing.T) {
	s := newFake(t).start()
	c, ctx := testClient(t, s, nil), limited(t)
	b := c.Batch()
	b.Set("a", []byte("1"))
	b.Get("a")
	b.Incr("a", 41)
	b.Expire("a", time.Hour)
	b.Expire("a", 0)
	b.Delete("a")
	b.Get("a")
	b.Get(strings.Repeat("k", 1<<16))
	b.Set("z", []byte("last"), IfAbsent())
	if b.Len() != 9 {
		t.Errorf("%d requests are queued", b.Len())
	}
	res, err := b.Do(ctx)
	must(t, err)
	if string(res[1].Value) != "1" || res[2].Int != 42 {
		t.Errorf("results: %+v", res)
	}
	for i, want := range []error{nil, nil, nil, nil, ErrInvalid, nil, ErrNotFound, ErrTooLarge, nil} {
		if !errors.Is(res[i].Err, want) {
			t.Errorf("result %d: %v, want %v", i, res[i].Err, want)
		}
	}
	if res, err = b.Do(ctx); err != nil || len(res) != 0 {
		t.Errorf("the batch is not empty after Do: %v, %v", res, err)
	}
}

// A batch of more requests than a window holds, on a connection with few ids.
func TestBatchLargerThanTheConnectionAllows(t *testing.T) {
	s := newFake(t)
	s.hello.PendingMax = 100
	c, ctx := testClient(t, s.start(), &Options{Conns: 1}), limited(t)
	b := c.Batch()
	const n = 3*batchWindow + 5
	for range n {
		b.Incr("n", 1)
	}
	res, err := b.Do(ctx)
	must(t, err)
	for i := range res {
		if res[i].Err != nil || res[i].Int != int64(i+1) {
			t.Fatalf("result %d: %+v", i, res[i])
		}
	}
}

// Values beyond 8 MiB travel in chunks both ways; small ones too if the server's frames are small.
func TestChunkedValues(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     int
		frameMax uint32
	}{{"9 MiB", 9 << 20, proto.LengthMax}, {"small frames", 200_000, 2000}} {
		t.Run(c.name, func(t *testing.T) {
			s := newFake(t)
			s.hello.FrameMax, s.frameMax = c.frameMax, c.frameMax
			longest := uint32(0)
			var mu sync.Mutex
			s.hook = func(_ *fakeConn, m *proto.Message) bool {
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, uint32(len(m.Body)))
				return false
			}
			cl, ctx := testClient(t, s.start(), &Options{Checksums: true}), limited(t)
			value := make([]byte, c.size)
			for i := range value {
				value[i] = byte(rand.Uint32())
			}
			must(t, cl.Set(ctx, "big", value))
			got, err := cl.Get(ctx, "big")
			if err != nil || !bytes.Equal(got, value) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			if longest < uint32(c.size) {
				t.Errorf("the longest request had %d bytes", longest)
			}
		})
	}
}

func TestValueBeyondTheServersLimit(t *testing.T) {
	s := newFake(t)
	s.hello.ValueMax = 1000
	c, ctx := testClient(t, s.start(), nil), limited(t)
	must(t, c.Set(ctx, "k", make([]byte, 1000)))
	wantErr(t, c.Set(ctx, "k", make([]byte, 1001)), ErrTooLarge)
	pairs := slices.Repeat([]KV{{Key: "k", Value: make([]byte, 1000)}}, 200)
	wantErr(t, c.MSet(ctx, pairs), ErrTooLarge)
}

// Many goroutines share one connection; each must get its own answers.
func TestConcurrentCalls(t *testing.T) {
	s := newFake(t).start()
	c, ctx := testClient(t, s, &Options{Conns: 2}), limited(t)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			key := fmt.Sprintf("key%d", g)
			for i := range 200 {
				value := fmt.Sprintf("%d/%d", g, i)
				if err := c.Set(ctx, key, []byte(value)); err != nil {
					t.Error(err)
					return
				}
				got, err := c.Get(ctx, key)
				if err != nil || string(got) != value {
					t.Errorf("got %q, %v, want %q", got, err, value)
					return
				}
			}
		})
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.greeted > 2 {
		t.Errorf("%d connections were made, want at most 2", s.greeted)
	}
}
