package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTextRequests(t *testing.T) {
	s := start(t, Options{})
	for name, c := range map[string]struct{ in, out string }{
		"inline with CRLF": {"SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n"},
		"inline with LF":   {"SET b 2\nGET b\n", "+OK\r\n$1\r\n2\r\n"},
		"empty lines":      {"\r\n\nPING\r\n", "+PONG\r\n"},
		"mixed":            {"PING\r\n" + resp("PING") + "PING\n", "+PONG\r\n+PONG\r\n+PONG\r\n"},
		"missing":          {"GET nothing\r\n", "$-1\r\n"},
		"host verbs in order": {
			resp("SET", "c", "1") + resp("SELECT", "0") + resp("GET", "c") + resp("SELECT", "1") + resp("DEL", "c"),
			"+OK\r\n+OK\r\n$1\r\n1\r\n-ERR DB index is out of range\r\n:1\r\n"},
		"quit": {resp("PING") + resp("QUIT") + resp("PING"), "+PONG\r\n+OK\r\n"},
	} {
		t.Run(name, func(t *testing.T) { dial(t, s).ask(c.in, c.out) })
	}
	c := dial(t, s)
	c.ask(resp("QUIT")+resp("PING"), "+OK\r\n")
	c.expectEnd()
}

func TestPipeline(t *testing.T) {
	c := dial(t, start(t, Options{}))
	const n = 20000
	var in, want strings.Builder
	for i := range n {
		key, value := fmt.Sprintf("key:%d", i), strings.Repeat("v", i%200)
		in.WriteString(resp("SET", key, value) + resp("GET", key))
		fmt.Fprintf(&want, "+OK\r\n$%d\r\n%s\r\n", len(value), value)
	}
	go func() { _, _ = io.WriteString(c.TCPConn, in.String()) }() // a failure shows in the replies
	c.expect(want.String())
}

func TestRequestsInSingleBytes(t *testing.T) {
	c := dial(t, start(t, Options{}))
	in := resp("SET", "key", "value") + "GET key\r\n" + resp("CLIENT", "SETNAME", "slow") + resp("CLIENT", "GETNAME")
	for i := range len(in) {
		c.send(in[i : i+1])
	}
	c.expect("+OK\r\n$5\r\nvalue\r\n+OK\r\n$4\r\nslow\r\n")
}

// TestLargeValues go through a grown input buffer, and out of the engine's own block.
func TestLargeValues(t *testing.T) {
	c := dial(t, start(t, Options{}))
	for _, n := range []int{4095, 4096, 65535, 65536, 65537, 200_000, 20 << 20} {
		value := strings.Repeat("x", n)
		c.ask(resp("SET", "k", value)+resp("GET", "k")+resp("PING"), fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n+PONG\r\n", n, value))
	}
}

func TestManyClients(t *testing.T) {
	s := start(t, Options{})
	var wg sync.WaitGroup
	for i := range 50 {
		c := dial(t, s)
		wg.Go(func() {
			for j := range 200 {
				if v := c.do("SET", fmt.Sprint("k", i), fmt.Sprint(j)); v != status("OK") {
					t.Errorf("set: %v", v)
				}
				if v := c.do("GET", fmt.Sprint("k", i)); v != fmt.Sprint(j) {
					t.Errorf("get: %v, want %d", v, j)
				}
			}
		})
	}
	wg.Wait()
	if requests, in, out := s.traffic(); requests != 50*400 || in == 0 || out == 0 {
		t.Errorf("%d requests, %d bytes in, %d out", requests, in, out)
	}
}

// TestNoAllocationPerRequest measures the whole process: server and client.
func TestNoAllocationPerRequest(t *testing.T) {
	t.Run("without a log", func(t *testing.T) { demandNoAllocation(t, start(t, Options{})) })
	t.Run("with a log", func(t *testing.T) { demandNoAllocation(t, startLogged(t, Options{})) })
}

func demandNoAllocation(t *testing.T, s *Server) {
	c := dial(t, s)
	in := []byte(resp("SET", "key", "value") + resp("GET", "key") + resp("GET", "nothing"))
	want := []byte("+OK\r\n$5\r\nvalue\r\n$-1\r\n")
	got := make([]byte, len(want))
	round := func() {
		if _, err := c.Write(in); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.TCPConn, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q, %v", got, err)
		}
	}
	// Background work of the runtime may allocate once in a while; a request that does would show a whole number.
	if n := testing.AllocsPerRun(2000, round); n >= 1 && !raceEnabled { // the race detector keeps calls from being inlined
		t.Errorf("%v allocations per round of three requests", n)
	}
}

func TestMaxClients(t *testing.T) {
	s := start(t, Options{MaxClients: 2})
	a, b := dial(t, s), dial(t, s)
	a.check(status("PONG"), "PING")
	b.check(status("PONG"), "PING")
	c := dial(t, s)
	c.expect("-ERR max number of clients reached\r\n")
	c.expectEnd()
	must(t, a.Close())
	waitFor(t, "the place of a closed connection", func() bool { return s.connected() == 1 })
	dial(t, s).check(status("PONG"), "PING")
	if s.total.rejected.Load() != 1 {
		t.Errorf("%d rejected, want 1", s.total.rejected.Load())
	}
}

func TestIdleTimeout(t *testing.T) {
	s := start(t, Options{IdleTimeout: time.Hour})
	idle := dial(t, s)
	idle.check(status("PONG"), "PING")
	s.live.idle.Store(int64(50 * time.Millisecond)) // not before: the PING may take longer on a busy machine
	idle.expectEnd()
}

func TestMaxMemory(t *testing.T) {
	s := start(t, Options{MaxMemory: 64 << 20})
	c := dial(t, s)
	value := strings.Repeat("v", 60_000)
	refused := 0
	for i := range 2000 {
		if e, ok := c.do("SET", fmt.Sprint(i), value).(respError); ok {
			refused++
			if !strings.HasPrefix(string(e), "OOM ") {
				t.Fatalf("refused with %q", e)
			}
		}
	}
	if refused == 0 {
		t.Fatal("120 MB went into 64 MiB")
	}
	c.check(value, "GET", "0")
	c.check(int64(1), "DEL", "0")
	c.check(status("OK"), "CONFIG", "SET", "maxmemory", "0")
	c.check(status("OK"), "SET", "again", value)
}

// TestShutdown: a client in the middle of a pipeline gets the replies to what was read, an idle one is closed, and
// whoever comes later finds nobody.
func TestShutdown(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Options{Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}, MaxClients: 100,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	must(t, s.Listen())
	if len(s.Addrs()) != 2 {
		t.Fatalf("listening on %v", s.Addrs())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	idle, busy := dial(t, s), dial(t, s)
	idle.check(status("PONG"), "PING")
	busy.check(status("PONG"), "PING")
	addr := s.Addr().String()
	must(t, s.Shutdown(context.Background()))
	must(t, <-served)
	idle.expectEnd()
	busy.expectEnd()
	if nc, err := net.Dial("tcp", addr); err == nil {
		must(t, nc.Close())
		t.Error("the port still answers")
	}
	must(t, s.Serve())
	for _, err := range []error{s.Listen(), s.Shutdown(context.Background())} {
		if !errors.Is(err, ErrServerClosed) {
			t.Errorf("after the end: %v", err)
		}
	}
	if !strings.Contains(log.String(), "shutting down") || !strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("log: %s", log.String())
	}
}

// TestShutdownWritesReplies stops the server while the replies to a large pipeline are under way to a slow reader.
func TestShutdownWritesReplies(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	value := strings.Repeat("v", 60_000)
	c.check(status("OK"), "SET", "k", value)
	const n = 200 // 12 MB, more than the sockets hold; 27 bytes each, so one read takes them all
	c.send(strings.Repeat("GET k\r\n", n))
	waitFor(t, "the first replies", func() bool { _, _, out := s.traffic(); return out > 100_000 })
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	c.expect(strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), n))
	c.expectEnd()
	must(t, <-done)
}

// TestShutdownCuts a client that never takes its replies, when the time is over.
func TestShutdownCuts(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	c.check(status("OK"), "SET", "k", strings.Repeat("v", 1<<20))
	c.send(strings.Repeat("GET k\r\n", 100))
	waitFor(t, "the first replies", func() bool { _, _, out := s.traffic(); return out > 1<<20 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections were cut") {
		t.Errorf("shutdown: %v", err)
	}
}
