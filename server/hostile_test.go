package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// witness is a client that must not notice what others do.
func witness(t *testing.T, s *Server) func() {
	c := dial(t, s)
	c.check(status("OK"), "SET", "witness", "alive")
	return func() {
		t.Helper()
		c.check("alive", "GET", "witness")
	}
}

func TestMalformedInput(t *testing.T) {
	s := start(t, Options{})
	alive := witness(t, s)
	for name, in := range map[string]string{
		"negative count of arguments": "*-5x\r\n",
		"count of arguments is text":  "*abc\r\n",
		"too many arguments":          "*2000000\r\n",
		"length is text":              "*2\r\n$3\r\nGET\r\n$abc\r\n",
		"negative length":             "*2\r\n$3\r\nGET\r\n$-1\r\n",
		"length over the limit":       "*2\r\n$3\r\nGET\r\n$99999999999\r\n",
		"no length":                   "*2\r\n$3\r\nGET\r\nkey\r\n",
		"unbalanced quotes":           "SET k \"v\r\n",
		"endless line":                strings.Repeat("x", 70_000),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			c.send(in)
			line, err := c.br.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "-ERR Protocol error: ") {
				t.Errorf("got %q, %v", line, err)
			}
			c.expectEnd()
			alive()
		})
	}
}

// TestGarbage sends ten megabytes of noise: at most one error reply, an end, and no memory kept.
func TestGarbage(t *testing.T) {
	s := start(t, Options{})
	alive := witness(t, s)
	noise := make([]byte, 10<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, first := range []byte{'*', '$', 'x', 0xF5, 0x00} {
		noise[0] = first
		c := dial(t, s)
		var writer sync.WaitGroup
		writer.Go(func() { _, _ = c.Write(noise) }) // it fails when the server closes, as it must
		if _, err := io.Copy(io.Discard, c.br); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("garbage after %#x: the connection stays open", first)
		}
		writer.Wait()
		alive()
	}
	waitFor(t, "the connections to be gone", func() bool { return s.connected() == 1 })
}

// TestHTTPRequest: a web page must not be able to write.
func TestHTTPRequest(t *testing.T) {
	s := start(t, Options{})
	for name, in := range map[string]string{
		"post": "POST / HTTP/1.1\r\nHost: x\r\n\r\nSET evil 1\r\n",
		"get":  "GET / HTTP/1.1\r\nHost: x\r\n\r\nSET evil 1\r\n",
		"host": "Host: x\r\nSET evil 1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			c.send(in)
			c.expectEnd()
		})
	}
	dial(t, s).check(nil, "GET", "evil")
}

// TestAnnouncedIsNotArrived: a thousand clients announce 512 MB each and send one byte of it.
func TestAnnouncedIsNotArrived(t *testing.T) {
	s := start(t, Options{})
	alive := witness(t, s)
	before, chunks := residentBytes(), s.store.Stats().ChunkBytes
	in := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nx"
	const n = 1000
	for range n {
		dial(t, s).send(in)
	}
	waitFor(t, "the input to arrive", func() bool { _, got, _ := s.traffic(); return got >= n*uint64(len(in)) })
	alive()
	grown, held := int64(residentBytes())-int64(before), int64(s.store.Stats().ChunkBytes)-int64(chunks)
	t.Logf("resident memory grew by %d bytes per client, client and server together; chunks by %d", grown/n, held/n)
	if held/n > 32<<10 || grown/n > 64<<10 {
		t.Errorf("%d clients hold %d bytes of chunks; the process grew by %d", n, held, grown)
	}
}

// TestSlowClientsHoldNoChunk: clients in the middle of a small request cost a copy of what they sent.
func TestSlowClientsHoldNoChunk(t *testing.T) {
	s := start(t, Options{})
	before := s.store.Stats().ChunkBytes
	ch, err := s.store.Acquire()
	must(t, err)
	chunk := s.store.Stats().ChunkBytes - before
	ch.Release()

	const n = 400
	in := resp("SET", "k", strings.Repeat("v", 100))
	var clients []*client
	for range n {
		clients = append(clients, dial(t, s))
	}
	for i := range 20 {
		for _, c := range clients {
			c.send(in[i : i+1])
		}
	}
	waitFor(t, "the input to arrive", func() bool { _, got, _ := s.traffic(); return got == n*20 })
	if held := s.store.Stats().ChunkBytes; held > n/2*chunk {
		t.Errorf("%d slow clients hold %d bytes of chunks, %d each", n, held, chunk)
	}
	me := dial(t, s)
	waitFor(t, "all clients to park with 20 bytes", func() bool {
		return strings.Count(me.do("CLIENT", "LIST").(string), " qbuf=20 ") == n
	})
	for _, c := range clients {
		c.ask(in[20:], "+OK\r\n")
	}
}

// TestNeverReadingClient is cut after the write timeout, with its output bounded, and nobody else waits for it.
func TestNeverReadingClient(t *testing.T) {
	s := start(t, Options{WriteTimeout: 200 * time.Millisecond})
	alive := witness(t, s)
	c := dial(t, s)
	c.check(status("OK"), "SET", "k", strings.Repeat("v", 60_000))
	go func() {
		for range 10_000 { // 600 MB of replies, if somebody took them
			if _, err := c.Write([]byte(strings.Repeat("GET k\r\n", 100))); err != nil {
				return
			}
		}
	}()
	waitFor(t, "the client to be cut", func() bool { alive(); return s.connected() == 1 })
	if _, _, out := s.traffic(); out > 64<<20 {
		t.Errorf("%d bytes were written to a client that doesn't read", out)
	}
}

// TestHugeHostRequest: arguments of verbs that run in Go are bounded.
func TestHugeHostRequest(t *testing.T) {
	c := dial(t, start(t, Options{}))
	for _, args := range [][]string{
		{"CLIENT", "SETNAME", strings.Repeat("x", 1<<20)},
		append([]string{"COMMAND", "INFO"}, strings.Split(strings.Repeat("x", 10_000), "")...),
	} {
		c.check(respError(fmt.Sprintf("ERR the arguments are longer than %d bytes", hostBytesMax)), args...)
	}
	c.check(status("PONG"), "PING")
}
