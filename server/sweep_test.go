package server

import (
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"
)

// warm makes a connection old enough for the read that would say EAGAIN to be left out.
func warm(c *client) {
	c.t.Helper()
	for range 2 * skipAfter {
		c.check(status("PONG"), "PING")
	}
}

// sendWithFIN puts s and the end of the stream into one segment, as close(2) right after write(2) often does.
func sendWithFIN(t *testing.T, c *client, s string) {
	t.Helper()
	rc, err := c.SyscallConn()
	must(t, err)
	must(t, rc.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
	}))
	must(t, err)
	c.send(s)
	must(t, c.CloseWrite())
}

// TestEndOfStreamWithTheLastRequest is the case that the skipped read loses and the sweeper repairs: data and
// FIN make one event. Many connections, because the race is not lost every time.
func TestEndOfStreamWithTheLastRequest(t *testing.T) {
	s := start(t, Options{})
	const n = 50
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = dial(t, s)
		warm(clients[i])
	}
	for _, c := range clients {
		sendWithFIN(t, c, resp("PING"))
	}
	for _, c := range clients {
		c.expect("+PONG\r\n")
		c.expectEnd()
	}
	waitFor(t, "all connections to be gone", func() bool { return s.connected() == 0 })
}

// TestDataIsNeverMissed: with the skipped read no request may need the sweeper, however it is cut into segments. Here
// the sweeper never comes.
func TestDataIsNeverMissed(t *testing.T) {
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100})
	must(t, err)
	s.sweepEvery = time.Hour
	serve(t, s)
	in := resp("SET", "k", "0123456789")
	var wg sync.WaitGroup
	for range 4 {
		c := dial(t, s)
		warm(c)
		wg.Go(func() {
			for i := range 2000 {
				cut := i % len(in)
				if _, err := io.WriteString(c.TCPConn, in[:cut]); err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(c.TCPConn, in[cut:]+"PING\r\n"); err != nil {
					t.Error(err)
				}
				if got, err := io.ReadAll(io.LimitReader(c.br, 12)); err != nil || string(got) != "+OK\r\n+PONG\r\n" {
					t.Errorf("round %d: %q, %v", i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSweeperLooksOnce: a connection that has fallen silent is looked at once, and stays.
func TestSweeperLooksOnce(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	warm(c)
	waitFor(t, "the sweeper's look", func() bool { return s.snapshot()[0].skipped.Load() == 0 })
	c.check(status("PONG"), "PING")
	c.check(status("OK"), "SET", "k", fmt.Sprint(s.connected()))
}
