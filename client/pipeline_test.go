package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// gatedConn is a connection that counts its writes, and holds them back once it is told to.
type gatedConn struct {
	net.Conn
	mu     sync.Mutex
	writes int
	gate   chan struct{} // nil = open
}

func (g *gatedConn) Write(p []byte) (int, error) {
	g.mu.Lock()
	g.writes++
	gate := g.gate
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return g.Conn.Write(p)
}

// What callers queue while a write is under way leaves together in the next one.
func TestQueuedRequestsLeaveInOneWrite(t *testing.T) {
	const n = 50
	var g *gatedConn
	s := newFake(t).start()
	c, ctx := testClient(t, s, &Options{Conns: 1, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		g = &gatedConn{Conn: nc}
		return g, err
	}}), limited(t)
	must(t, c.Ping(ctx))
	cn, gate := c.slots[0].current.Load(), make(chan struct{})
	g.mu.Lock()
	g.writes, g.gate = 0, gate
	g.mu.Unlock()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := c.Set(ctx, fmt.Sprint(i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all requests are queued or in the first write", func() bool {
		cn.mu.Lock()
		defer cn.mu.Unlock()
		return cn.inflight == n
	})
	close(gate)
	wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writes > 2 {
		t.Errorf("%d requests took %d writes, want at most 2", n, g.writes)
	}
}

// A server that reads nothing must not hold a caller beyond its context, nor Close for ever.
func TestServerThatReadsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := newFake(t)
	ends := make(chan net.Conn, 1)
	t.Cleanup(func() { _ = l.Close() })
	c, err := Open(l.Addr().String(), &Options{Conns: 1})
	must(t, err)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		fc := &fakeConn{server: s, net: nc}
		// Reads ahead by at most its own buffer, then nothing more.
		if m, err := proto.NewReader(nc, proto.KindRequest, proto.Limits{}).Next(); err == nil {
			fc.send(s.answer(&m))
		}
		ends <- nc
	}()
	ctx, cancel := context.WithCancel(limited(t))
	result := make(chan error)
	go func() { result <- c.Set(ctx, "k", make([]byte, 32<<20)) }()
	defer func() { _ = (<-ends).Close() }()
	eventually(t, "the request is queued", func() bool {
		cn := c.slots[0].current.Load()
		if cn == nil {
			return false
		}
		cn.mu.Lock()
		defer cn.mu.Unlock()
		return cn.queued > 32<<20
	})
	cancel()
	err = <-result
	wantErr(t, err, context.Canceled)
	wantErr(t, err, ErrOutcomeUnknown)
	must(t, c.Close())
}
