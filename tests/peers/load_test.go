package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serveTest serves handle on a free port until the test ends.
func serveTest(t *testing.T, handle func(net.Conn) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- acceptAll(ctx, ln, handle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return ln.Addr().String()
}

func dialTest(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestConstantAnswersSplitPipelines: a pipeline gets its replies in order, however its bytes arrive.
func TestConstantAnswersSplitPipelines(t *testing.T) {
	value := strings.Repeat("v", 64)
	requests := respWire.appendSet(nil, []byte("k"), []byte(value))
	requests = respWire.appendGet(requests, []byte("k"))
	requests = append(requests, respWire.ping...)
	addr := serveTest(t, constant)
	for _, step := range []int{1, 7, len(requests)} {
		c := dialTest(t, addr)
		for at := 0; at < len(requests); at += step {
			if _, err := c.Write(requests[at:min(at+step, len(requests))]); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, len("+OK\r\n")+len("$64\r\n\r\n")+64+len("+PONG\r\n"))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatalf("in pieces of %d: %v", step, err)
		}
		if s := string(got); !strings.HasPrefix(s, "+OK\r\n$64\r\n") || !strings.HasSuffix(s, "\r\n+PONG\r\n") {
			t.Errorf("in pieces of %d: replies %q", step, s)
		}
	}
}

func TestConstantClosesOnGarbage(t *testing.T) {
	for _, bad := range []string{"GET k\r\n", "*x\r\n", "*2000\r\n", "*1\r\n$9999999\r\n"} {
		c := dialTest(t, serveTest(t, constant))
		if _, err := c.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 16)); err == nil {
			t.Errorf("%q got %d bytes in reply, want the end of the connection", bad, n)
		}
	}
}

func TestLoadOnEcho(t *testing.T) {
	l := closedLoad{addr: serveTest(t, echo), wire: echoWire, clients: 3, pipeline: 4, keys: 100, valueSize: 64, duration: 50 * time.Millisecond}
	got, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests == 0 || int(got.Requests)%l.pipeline != 0 || got.OpsPerSecond <= 0 {
		t.Errorf("the load reports %v requests, %v a second", got.Requests, got.OpsPerSecond)
	}
}

// TestLoadNoticesMisses: a reply that is not a hit's must end the load, not count as a fast answer.
func TestLoadNoticesMisses(t *testing.T) {
	addr := serveTest(t, func(c net.Conn) error {
		_, err := bufio.NewReader(c).ReadString('\n')
		if err == nil {
			_, err = c.Write([]byte("END\r\n"))
		}
		return err
	})
	l := closedLoad{addr: addr, wire: memcachedWire, clients: 1, pipeline: 1, keys: 100, valueSize: 64, duration: 10 * time.Second}
	if _, err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "unexpected reply") {
		t.Errorf("a miss gave %v", err)
	}
}

func TestLoaderKnowsWhatTheServerHolds(t *testing.T) {
	const keys = 1000
	l, err := newLoader(t.Context(), respWire, serveTest(t, constant), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.fill(t.Context(), 64); err != nil {
		t.Fatal(err)
	}
	if n, size := l.live(); n != keys || size != keys*(keySize+64) {
		t.Errorf("after filling: %d keys, %d bytes", n, size)
	}
	if err := l.overwrite(t.Context(), 10*keys, 16, 16); err != nil {
		t.Fatal(err)
	}
	if n, size := l.live(); n != keys || size >= keys*(keySize+64) || size < keys*(keySize+16) {
		t.Errorf("after overwriting: %d keys, %d bytes", n, size)
	}
	// The ceiling deletes nothing, and says so by its reply.
	if err := l.deleteMost(t.Context()); err == nil || !strings.Contains(err.Error(), "unexpected reply") {
		t.Errorf("a DEL without effect gave %v", err)
	}
}

func TestWireExamples(t *testing.T) {
	key, value := appendKey(nil, 42), []byte("val")
	if len(key) != keySize {
		t.Fatalf("key %q has %d bytes, want %d", key, len(key), keySize)
	}
	tests := map[string]struct{ got, want string }{
		"resp set":         {string(respWire.appendSet(nil, key, value)), "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$3\r\nval\r\n"},
		"resp get":         {string(respWire.appendGet(nil, key)), "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n"},
		"resp del":         {string(respWire.appendDel(nil, key)), "*2\r\n$3\r\nDEL\r\n$16\r\nkey:000000000042\r\n"},
		"resp reply":       {string(respWire.getReply(nil, key, value)), "$3\r\nval\r\n"},
		"memcached set":    {string(memcachedWire.appendSet(nil, key, value)), "set key:000000000042 0 0 3\r\nval\r\n"},
		"memcached get":    {string(memcachedWire.appendGet(nil, key)), "get key:000000000042\r\n"},
		"memcached delete": {string(memcachedWire.appendDel(nil, key)), "delete key:000000000042\r\n"},
		"memcached reply":  {string(memcachedWire.getReply(nil, key, value)), "VALUE key:000000000042 0 3\r\nval\r\nEND\r\n"},
	}
	for name, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}
