package client

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// answerer listens and answers each connection's first bytes with a text, or closes, or stays silent.
func answerer(t *testing.T, answer string, silent bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				buf := make([]byte, 64)
				if _, err := nc.Read(buf); err == nil {
					_, _ = nc.Write([]byte(answer))
				}
				for err == nil && silent {
					_, err = nc.Read(buf) // until the client has had enough
				}
				_ = nc.Close()
			})
		}
	})
	return l.Addr().String()
}

func TestOtherServersAreRefused(t *testing.T) {
	future := string(proto.AppendHelloReply(nil, proto.Meta{ID: 1}, proto.HelloReply{Version: 2, FrameMax: 1 << 20}))
	full := string(proto.AppendErrorReply(nil, proto.Meta{ID: 1}, proto.EMAXCLIENTS, "500 are connected"))
	for name, tc := range map[string]struct {
		answer string
		silent bool
		want   error
		text   string
	}{
		"Redis":       {"-ERR unknown command\r\n", false, ErrNotNitroKV, "another service"},
		"silence":     {"", true, ErrNotNitroKV, "in time"},
		"hang up":     {"", false, ErrNotNitroKV, "closed the connection"},
		"version 2":   {future, false, ErrUnsupported, "version 2"},
		"too many":    {full, false, proto.EMAXCLIENTS, "500 are connected"},
		"short hello": {"\xf6\x00\x01\x00\x00\x01\x00\x00\x01", false, ErrNotNitroKV, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := answerer(t, tc.answer, tc.silent)
			patience := time.Minute
			if tc.silent {
				patience = 200 * time.Millisecond // it is waited for in vain
			}
			c, err := Open(addr, &Options{DialTimeout: patience})
			must(t, err)
			defer c.Close()
			_, err = c.Get(limited(t), "k")
			wantErr(t, err, tc.want)
			if !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("the text lacks %q or %q: %v", addr, tc.text, err)
			}
		})
	}
}

func TestServerComesBack(t *testing.T) {
	s := newFake(t)
	addr := s.addr()
	must(t, s.listener.Close())
	c, err := Open(addr, nil)
	must(t, err)
	defer c.Close()
	ctx := limited(t)
	for range 3 {
		err := c.Set(ctx, "k", nil)
		wantErr(t, err, ErrConnection)
		if errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("nothing was sent, yet: %v", err)
		}
	}
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s.start()
	must(t, c.Set(ctx, "k", nil))
	slot := c.slotOf("k")
	slot.mu.Lock()
	if slot.failures != 0 {
		t.Errorf("%d failures are remembered after a success", slot.failures)
	}
	slot.mu.Unlock()
	s.dropAll()
	eventually(t, "the client sees that it was cut off", func() bool {
		cn := c.slotOf("k").current.Load()
		return !cn.alive()
	})
	must(t, c.Set(ctx, "k", nil)) // a write, but on a connection that was known to be gone
}

func TestBackoff(t *testing.T) {
	if d := backoff(0); d != 0 {
		t.Errorf("a pause of %v without a failure", d)
	}
	for failures := 1; failures < 100; failures++ {
		most := min(backoffMin<<min(failures-1, 10), backoffMax)
		for range 20 {
			if d := backoff(failures); d < most/2 || d > most {
				t.Fatalf("after %d failures %v, want %v to %v", failures, d, most/2, most)
			}
		}
	}
}

func TestCloseEndsCalls(t *testing.T) {
	s := newFake(t)
	arrived := make(chan bool, 2)
	s.hook = func(*fakeConn, *proto.Message) bool { arrived <- true; return true }
	c, err := Open(s.start().addr(), nil)
	must(t, err)
	ctx, reads, writes := limited(t), make(chan error), make(chan error)
	go func() { _, err := c.Get(ctx, "k"); reads <- err }()
	go func() { writes <- c.Set(ctx, "k", nil) }()
	<-arrived
	<-arrived
	must(t, c.Close())
	err = <-reads
	wantErr(t, err, ErrClosed)
	if errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("a read has no unknown outcome: %v", err)
	}
	err = <-writes
	wantErr(t, err, ErrClosed)
	wantErr(t, err, ErrOutcomeUnknown)
	wantErr(t, c.Ping(ctx), ErrClosed)
	must(t, c.Close())
}
