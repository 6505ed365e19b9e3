package client

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// constantServer answers HELLO, then every request with the same body, and allocates nothing meanwhile: so
// a benchmark's allocations are the client's.
func constantServer(tb testing.TB, body []byte) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	tb.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { answerConstantly(nc, body) })
		}
	})
	return l.Addr().String()
}

func answerConstantly(nc net.Conn, body []byte) {
	defer nc.Close()
	r, w := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriterSize(nc, 64<<10)
	hello := proto.HelloReply{Version: 1, FrameMax: proto.LengthMax, ValueMax: 512 << 20, PendingMax: 65535}
	var head [proto.HeaderSize]byte
	var reply []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		h, err := proto.ParseHeader(head[:])
		if err != nil {
			return
		}
		if _, err := r.Discard(int(h.Length)); err != nil {
			return
		}
		if h.Op() == proto.OpHello {
			reply = proto.AppendHelloReply(reply[:0], proto.Meta{ID: h.ID}, hello)
		} else {
			reply = proto.AppendReply(reply[:0], proto.Meta{ID: h.ID}, proto.OK, body)
		}
		if _, err := w.Write(reply); err != nil {
			return
		}
		if r.Buffered() < proto.HeaderSize && w.Flush() != nil {
			return
		}
	}
}

func benchClient(b *testing.B, body []byte) (*Client, context.Context) {
	b.Helper()
	c, err := Open(constantServer(b, body), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithCancel(context.Background()) // as real callers have: not Background
	b.Cleanup(cancel)
	if err := c.Ping(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return c, ctx
}

// parallel is how many goroutines per processor share the client.
const parallel = 64

func BenchmarkGet(b *testing.B) {
	c, ctx := benchClient(b, bytes.Repeat([]byte("v"), 100))
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Get(ctx, "key:000000000001"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGetInto(b *testing.B) {
	c, ctx := benchClient(b, bytes.Repeat([]byte("v"), 100))
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 128)
		for pb.Next() {
			if _, err := c.GetInto(ctx, "key:000000000001", buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	c, ctx := benchClient(b, nil)
	value := bytes.Repeat([]byte("v"), 100)
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Set(ctx, "key:000000000001", value); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGetAlone(b *testing.B) {
	c, ctx := benchClient(b, bytes.Repeat([]byte("v"), 100))
	for b.Loop() {
		if _, err := c.Get(ctx, "key:000000000001"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBatch100(b *testing.B) {
	c, ctx := benchClient(b, bytes.Repeat([]byte("v"), 100))
	batch := c.Batch()
	for b.Loop() {
		for range 100 {
			batch.Get("key:000000000001")
		}
		if _, err := batch.Do(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// The promise behind the benchmarks, as a test: a Get allocates its value, a GetInto and a Set nothing.
func TestAllocationsPerCall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop calls at random")
	}
	c, err := Open(constantServer(t, []byte("value")), &Options{Conns: 1})
	must(t, err)
	defer c.Close()
	ctx, buf := limited(t), make([]byte, 0, 64)
	for name, tc := range map[string]struct {
		most float64
		f    func() error
	}{
		"Get":     {1, func() error { _, err := c.Get(ctx, "k"); return err }},
		"GetInto": {0, func() error { _, err := c.GetInto(ctx, "k", buf); return err }},
		"Set":     {0, func() error { return c.Set(ctx, "k", buf) }},
	} {
		must(t, tc.f())
		if n := testing.AllocsPerRun(500, func() { must(t, tc.f()) }); n > tc.most {
			t.Errorf("%s: %v allocations per call, want at most %v", name, n, tc.most)
		}
	}
}
