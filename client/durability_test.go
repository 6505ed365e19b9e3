package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// levelsSeen returns a server that collects the durability bits of every request, by opcode.
func levelsSeen(t *testing.T) (*fakeServer, func() map[proto.Op]proto.Flags) {
	t.Helper()
	s := newFake(t)
	var mu sync.Mutex
	seen := map[proto.Op]proto.Flags{}
	s.hook = func(_ *fakeConn, m *proto.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		seen[m.Op()] = m.Flags & proto.FlagDurability
		return false
	}
	return s.start(), func() map[proto.Op]proto.Flags {
		mu.Lock()
		defer mu.Unlock()
		all := seen
		seen = map[proto.Op]proto.Flags{}
		return all
	}
}

// callEverything makes one call of each kind; some of them have an opcode to themselves, some share the way.
func callEverything(t *testing.T, ctx context.Context, c *Client) {
	t.Helper()
	must(t, c.Set(ctx, "k", []byte("1"), WithTTL(time.Hour)))
	_, err := c.SetVersion(ctx, "new", nil)
	must(t, err)
	_, err = c.Get(ctx, "k")
	must(t, err)
	_, err = c.Incr(ctx, "k", 1)
	must(t, err)
	must(t, c.MSet(ctx, []KV{{Key: "a"}}))
	_, err = c.MGet(ctx, "a")
	must(t, err)
	must(t, c.Sync(ctx))
	for _, err := range c.Scan(ctx, ScanOptions{}) {
		must(t, err)
	}
	b := c.Batch()
	b.Delete("k")
	_, err = b.Do(ctx)
	must(t, err)
}

func TestEveryRequestHasTheLevel(t *testing.T) {
	s, seen := levelsSeen(t)
	ctx := limited(t)
	for level, bits := range map[Durability]proto.Flags{
		ServerDefault: 0, Never: 0x40, EverySec: 0x80, Always: 0xC0,
	} {
		fromOptions := testClient(t, s, &Options{Conns: 1, Durability: level})
		other := testClient(t, s, &Options{Conns: 1, Durability: Always}).WithDurability(level)
		for name, c := range map[string]*Client{"Options": fromOptions, "WithDurability": other} {
			t.Run(fmt.Sprint(name, " ", level), func(t *testing.T) {
				callEverything(t, ctx, c)
				got := seen()
				if len(got) != 9 {
					t.Fatalf("requests %v", got)
				}
				for op, flags := range got {
					if flags != bits {
						t.Errorf("%v: durability bits %#02x, want %#02x", op, flags, bits)
					}
				}
			})
		}
	}
}

func TestWithDurabilitySharesConnectionsAndEnd(t *testing.T) {
	s := newFake(t).start()
	c, ctx := testClient(t, s, &Options{Conns: 1}), limited(t)
	never := c.WithDurability(Never)
	must(t, c.Ping(ctx))
	must(t, never.Ping(ctx))
	s.mu.Lock()
	greeted := s.greeted
	s.mu.Unlock()
	if greeted != 1 {
		t.Errorf("%d connections, want 1", greeted)
	}
	must(t, never.Close())
	wantErr(t, c.Ping(ctx), ErrClosed)
}

func TestUnknownDurability(t *testing.T) {
	if _, err := Open("127.0.0.1:1", &Options{Durability: Always + 1}); err == nil {
		t.Error("Open takes a level that there is not")
	}
	if got := (Always + 1).String(); got != "durability 4" {
		t.Errorf("its text is %q", got)
	}
}

// A server that is loading is waited for until the context ends, or for a few tries if it never does.
func TestLoadingIsWaitedFor(t *testing.T) {
	s, seen := failing(t, func(c *fakeConn, m *proto.Message, _ int64) bool {
		c.send(proto.AppendErrorReply(nil, proto.Meta{ID: m.ID}, proto.ELOADING, "42 % are read"))
		return true
	})
	c := testClient(t, s, nil)
	_, err := c.Get(context.Background(), "k")
	wantErr(t, err, ErrLoading)
	if n := seen.Load(); n != tries {
		t.Errorf("%d requests without a deadline, want %d", n, tries)
	}
	short, cancel := context.WithTimeout(limited(t), time.Second) // long enough for an answer on a busy machine
	defer cancel()
	err = c.Set(short, "k", nil)
	wantErr(t, err, ErrLoading)
	if errors.Is(err, ErrOutcomeUnknown) || short.Err() == nil {
		t.Errorf("gave up before the context's end, or the outcome is unknown: %v", err)
	}
}

func TestSync(t *testing.T) {
	for status, want := range map[proto.Status]error{
		proto.OK: nil, proto.EUNSUPPORTED: ErrUnsupported, proto.ENOTDURABLE: ErrNotDurable,
	} {
		s := newFake(t)
		s.hook = func(c *fakeConn, m *proto.Message) bool {
			c.send(proto.AppendErrorReply(nil, proto.Meta{ID: m.ID}, status, ""))
			return true
		}
		err := testClient(t, s.start(), nil).Sync(limited(t))
		wantErr(t, err, want)
		if errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%v: a sync changes nothing, so no outcome is unknown: %v", status, err)
		}
	}
}
