package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		runtime.Gosched()
	}
}

// keyOf returns the key of a request with one key.
func keyOf(m *proto.Message) string {
	r, err := proto.ParseRequest(m)
	if err != nil {
		return ""
	}
	return string(r.Key)
}

func TestRepliesInReverseOrder(t *testing.T) {
	const n = 50
	s := newFake(t)
	var mu sync.Mutex
	var held [][]byte
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, proto.AppendReply(nil, proto.Meta{ID: m.ID}, proto.OK, "to "+keyOf(m)))
		if len(held) == n {
			for i := n - 1; i >= 0; i-- {
				c.send(held[i])
			}
		}
		return true
	}
	c, ctx := testClient(t, s.start(), &Options{Conns: 1}), limited(t)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			key := fmt.Sprint(i)
			if v, err := c.Get(ctx, key); err != nil || string(v) != "to "+key {
				t.Errorf("key %s: %q, %v", key, v, err)
			}
		})
	}
	wg.Wait()
}

// failing returns a server whose hook counts requests on the key "k" and lets f deal with the n-th.
func failing(t *testing.T, f func(c *fakeConn, m *proto.Message, n int64) bool) (*fakeServer, *atomic.Int64) {
	s, seen := newFake(t), new(atomic.Int64)
	s.store["k"] = fakeEntry{value: []byte("v"), version: 1}
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if keyOf(m) != "k" {
			return false
		}
		return f(c, m, seen.Add(1))
	}
	return s.start(), seen
}

// dropInReply carries the request out, sends a part of the reply and closes.
func dropInReply(c *fakeConn, m *proto.Message) {
	c.send(c.server.answer(m)[:5])
	_ = c.net.Close()
}

func TestReadIsRepeatedOnceWhenTheConnectionBreaks(t *testing.T) {
	s, seen := failing(t, func(c *fakeConn, m *proto.Message, n int64) bool {
		if n == 1 {
			dropInReply(c, m)
		}
		return n == 1
	})
	c, ctx := testClient(t, s, nil), limited(t)
	if v, err := c.Get(ctx, "k"); err != nil || string(v) != "v" || seen.Load() != 2 {
		t.Errorf("%q, %v after %d requests, want the value after 2", v, err, seen.Load())
	}
}

func TestReadIsNotRepeatedTwice(t *testing.T) {
	s, seen := failing(t, func(c *fakeConn, m *proto.Message, _ int64) bool {
		dropInReply(c, m)
		return true
	})
	c, ctx := testClient(t, s, nil), limited(t)
	_, err := c.Get(ctx, "k")
	wantErr(t, err, ErrConnection)
	if errors.Is(err, ErrOutcomeUnknown) || seen.Load() != 2 {
		t.Errorf("%v after %d requests; a read has no unknown outcome", err, seen.Load())
	}
}

func TestWriteIsNotRepeatedWhenItMayHaveRun(t *testing.T) {
	s, seen := failing(t, func(c *fakeConn, m *proto.Message, _ int64) bool {
		dropInReply(c, m)
		return true
	})
	c, ctx := testClient(t, s, nil), limited(t)
	err := c.Set(ctx, "k", []byte("new"))
	wantErr(t, err, ErrOutcomeUnknown)
	wantErr(t, err, ErrConnection)
	if seen.Load() != 1 {
		t.Errorf("the write was sent %d times", seen.Load())
	}
	must(t, c.Ping(ctx)) // on a new connection
}

// brokenConn is a connection whose write of the marker fails after `pass` bytes of it.
type brokenConn struct {
	net.Conn
	marker string
	pass   int
}

func (b *brokenConn) Write(p []byte) (int, error) {
	at := strings.Index(string(p), b.marker)
	if at < 0 {
		return b.Conn.Write(p)
	}
	n, err := b.Conn.Write(p[:min(at+b.pass, len(p))])
	return n, errors.Join(err, errors.New("the cable was cut"))
}

// breakFirst dials connections of which the first is broken.
func breakFirst(marker string, pass int) func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil && dials.Add(1) == 1 {
			return &brokenConn{Conn: nc, marker: marker, pass: pass}, nil
		}
		return nc, err
	}
}

func TestWriteIsRepeatedIfItHadNotLeft(t *testing.T) {
	const marker = "the value"
	for pass, unknown := range map[int]bool{0: false, len(marker) - 1: false, len(marker): true} {
		t.Run(fmt.Sprint(pass, " bytes"), func(t *testing.T) {
			// A whole request gets no reply, which could come before the cut is noticed.
			s, seen := failing(t, func(*fakeConn, *proto.Message, int64) bool { return unknown })
			c := testClient(t, s, &Options{Conns: 1, Dial: breakFirst(marker, pass)})
			err := c.Set(limited(t), "k", []byte(marker))
			if errors.Is(err, ErrOutcomeUnknown) != unknown || !unknown && err != nil {
				t.Errorf("%v, want unknown outcome %v", err, unknown)
			}
			if n := seen.Load(); n > 1 || !unknown && n != 1 {
				t.Errorf("the write arrived %d times", n)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	cases := []struct {
		status  proto.Status
		times   int64 // how often it is given; 0 = always
		want    error // of a Set
		sent    int64
		unknown bool
	}{
		{proto.EBUSY, 2, nil, 3, false},
		{proto.EBUSY, 0, ErrBusy, tries, false},
		{proto.Status(0x4E), 0, ErrBusy, tries, false},
		{proto.EMAXMEMORY, 0, ErrOutOfMemory, 1, false},
		{proto.ELOADING, tries + 2, nil, tries + 3, false},
		{proto.ELOGFULL, 0, ErrLogFull, 1, false},
		{proto.EREADONLY, 0, ErrReadOnly, 1, false},
		{proto.ENOTDURABLE, 0, ErrNotDurable, 1, true},
		{proto.EUNSUPPORTED, 0, ErrUnsupported, 1, false},
		{proto.EAUTHREQUIRED, 0, ErrUnauthorized, 1, false},
		{proto.EUNKNOWNOUTCOME, 0, ErrOutcomeUnknown, 1, true},
		{proto.EINTERNAL, 0, proto.EINTERNAL, 1, true},
		{proto.Status(0x9A), 0, proto.Status(0x9A), 1, true},
		{proto.EMOVED, 0, proto.EMOVED, 1, false},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprintf("%s x%d", tc.status.String(), tc.times), func(t *testing.T) {
			s, seen := failing(t, func(c *fakeConn, m *proto.Message, n int64) bool {
				if tc.times > 0 && n > tc.times {
					return false
				}
				c.send(proto.AppendErrorReply(nil, proto.Meta{ID: m.ID}, tc.status, "says the server"))
				return true
			})
			c, ctx := testClient(t, s, nil), limited(t)
			err := c.Set(ctx, "k", nil)
			wantErr(t, err, tc.want)
			if seen.Load() != tc.sent || errors.Is(err, ErrOutcomeUnknown) != tc.unknown {
				t.Errorf("%v after %d requests, want %d", err, seen.Load(), tc.sent)
			}
			if err != nil && !strings.Contains(err.Error(), `SET "k"`) || err != nil &&
				!strings.Contains(err.Error(), "says the server") {
				t.Errorf("the text lacks the request or the server's words: %v", err)
			}
			if _, err = c.Get(ctx, "k"); errors.Is(err, ErrOutcomeUnknown) {
				t.Errorf("a read has no unknown outcome: %v", err)
			}
		})
	}
}

// A reply that comes after its caller has gone must not be taken for that of a later request, so the id
// stays taken until then.
func TestLateReplies(t *testing.T) {
	s := newFake(t)
	late := make(chan func(), 2)
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if keyOf(m) != "slow" {
			return false
		}
		reply := proto.AppendReply(nil, proto.Meta{ID: m.ID}, proto.OK, "late")
		late <- func() { c.send(reply) }
		return true
	}
	c, ctx := testClient(t, s.start(), &Options{Conns: 1}), limited(t)
	must(t, c.Set(ctx, "k", []byte("v")))
	short, cancel := context.WithCancel(ctx)
	result := make(chan error)
	go func() { _, err := c.Get(short, "slow"); result <- err }()
	first := <-late
	cancel()
	err := <-result
	wantErr(t, err, context.Canceled)
	if errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("a read has no unknown outcome: %v", err)
	}
	short, cancel = context.WithCancel(ctx)
	go func() { result <- c.Set(short, "slow", nil) }()
	second := <-late
	cancel()
	err = <-result
	wantErr(t, err, context.Canceled)
	wantErr(t, err, ErrOutcomeUnknown)
	for i := range 200 {
		if i == 100 {
			first()
			second()
		}
		if v, err := c.Get(ctx, "k"); err != nil || string(v) != "v" {
			t.Fatalf("call %d: %q, %v", i, v, err)
		}
	}
	cn := c.slots[0].current.Load()
	eventually(t, "the ids of the late replies are free", func() bool {
		cn.mu.Lock()
		defer cn.mu.Unlock()
		return cn.inflight == 0 && len(cn.free) == len(cn.calls)-1
	})
}

func TestContextThatHasEndedSendsNothing(t *testing.T) {
	s, seen := failing(t, func(*fakeConn, *proto.Message, int64) bool { return false })
	c := testClient(t, s, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := c.Set(ctx, "k", nil)
	wantErr(t, err, context.Canceled)
	if errors.Is(err, ErrOutcomeUnknown) || seen.Load() != 0 {
		t.Errorf("%v, %d requests arrived", err, seen.Load())
	}
}

// A call that waits for its turn has sent nothing when its context ends.
func TestWaitingForATurn(t *testing.T) {
	s := newFake(t)
	arrived, goOn := make(chan bool), make(chan bool)
	s.hook = func(*fakeConn, *proto.Message) bool {
		arrived <- true
		<-goOn
		return false
	}
	c, ctx := testClient(t, s.start(), &Options{Conns: 1, MaxPending: 1}), limited(t)
	result := make(chan error)
	go func() { result <- c.Set(ctx, "first", nil) }()
	<-arrived
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	err := c.Set(short, "second", nil)
	wantErr(t, err, context.DeadlineExceeded)
	if errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("nothing was sent, yet: %v", err)
	}
	close(goOn)
	must(t, <-result)
}

func TestGarbageFromTheServer(t *testing.T) {
	for name, garbage := range map[string]string{
		"text":         "-ERR what?\r\n",
		"nobody asked": string(proto.AppendReply(nil, proto.Meta{ID: 999}, proto.OK, "")),
		"given up":     string(proto.AppendErrorReply(nil, proto.Meta{}, proto.EFRAME, "can't read you")),
		"flags":        "\xf6\x00\x01\x00\xc0\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := failing(t, func(c *fakeConn, m *proto.Message, n int64) bool {
				if m.Op() == proto.OpGet && n == 1 {
					return false
				}
				c.send([]byte(garbage))
				return true
			})
			c, ctx := testClient(t, s, nil), limited(t)
			_, err := c.Get(ctx, "k")
			must(t, err)
			err = c.Set(ctx, "k", nil)
			wantErr(t, err, ErrConnection)
			wantErr(t, err, ErrOutcomeUnknown)
			must(t, c.Ping(ctx))
		})
	}
}

func TestChecksumsAreDemanded(t *testing.T) {
	s, _ := failing(t, func(c *fakeConn, m *proto.Message, _ int64) bool {
		c.send(proto.AppendReply(nil, proto.Meta{ID: m.ID}, proto.OK, "unguarded"))
		return true
	})
	c := testClient(t, s, &Options{Checksums: true})
	_, err := c.Get(limited(t), "k")
	wantErr(t, err, ErrConnection)
}

func TestScanNeverEndsShort(t *testing.T) {
	s := newFake(t)
	for i := range 30 {
		s.put(fmt.Append(nil, "key", i), nil, 0)
	}
	pages := 0
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if pages++; pages == 2 {
			dropInReply(c, m)
		}
		return pages == 2
	}
	c, ctx := testClient(t, s.start(), nil), limited(t)
	keys, last := 0, error(nil)
	for _, err := range c.Scan(ctx, ScanOptions{Count: 10}) {
		if last = err; err == nil {
			keys++
		}
	}
	wantErr(t, last, ErrConnection)
	if keys != 10 || pages != 2 {
		t.Errorf("%d keys and %d requests before the error, want 10 and 2", keys, pages)
	}
}

func TestBatchOnABrokenConnection(t *testing.T) {
	s := newFake(t)
	requests := 0
	s.hook = func(c *fakeConn, m *proto.Message) bool {
		if requests++; requests == 3 {
			dropInReply(c, m)
		}
		return requests >= 3
	}
	c, ctx := testClient(t, s.start(), &Options{Conns: 1}), limited(t)
	b := c.Batch()
	for range 5 {
		b.Incr("n", 1)
	}
	b.Get("n")
	res, err := b.Do(ctx)
	wantErr(t, err, ErrConnection)
	for i, r := range res {
		if known := i < 2; known != (r.Err == nil) || r.Err != nil && errors.Is(r.Err, ErrOutcomeUnknown) != (i < 5) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
}

func TestBatchWhoseContextEnds(t *testing.T) {
	s := newFake(t)
	arrived := make(chan bool, 3)
	s.hook = func(*fakeConn, *proto.Message) bool { arrived <- true; return true }
	c := testClient(t, s.start(), &Options{Conns: 1})
	ctx, cancel := context.WithCancel(limited(t))
	go func() { <-arrived; cancel() }()
	b := c.Batch()
	b.Set("a", nil)
	b.Get("a")
	res, err := b.Do(ctx)
	wantErr(t, err, context.Canceled)
	wantErr(t, res[0].Err, ErrOutcomeUnknown)
	wantErr(t, res[1].Err, context.Canceled)
}

// A scan has no deadline of its own, each of its requests may.
func TestScanTimeout(t *testing.T) {
	s := newFake(t)
	s.hook = func(_ *fakeConn, m *proto.Message) bool { return m.Op() == proto.OpScan } // never answered
	c, ctx := testClient(t, s.start(), nil), limited(t)
	for _, err := range c.Scan(ctx, ScanOptions{Timeout: 10 * time.Millisecond}) {
		wantErr(t, err, context.DeadlineExceeded)
	}
	must(t, ctx.Err())
}
