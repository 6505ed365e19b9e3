package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// startLocal serves without a port until the test ends.
func startLocal(t *testing.T, opt Options) *Server {
	t.Helper()
	opt.Local = true
	s, err := New(opt)
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil && !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// A server without a port serves whoever dials from inside: large requests and replies, in any number.
func TestLocal(t *testing.T) {
	s := startLocal(t, Options{MaxClients: 4})
	if a := s.Addr(); a == nil || a.Network() != "unix" {
		t.Errorf("it listens on %v", a)
	}
	big := strings.Repeat("v", 4<<20)
	for range 2 {
		nc, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(nc, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4194304\r\n"+big+"\r\nGET k\r\n") }() // a failure shows below
		in := bufio.NewReader(nc)
		if line, err := in.ReadString('\n'); err != nil || line != "+OK\r\n" {
			t.Fatalf("SET: %q, %v", line, err)
		}
		got := make([]byte, len("$4194304\r\n")+len(big)+2)
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "$4194304\r\n"+big+"\r\n" {
			t.Fatalf("GET: %v", err)
		}
		if err := nc.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Limits and the end of the server hold inside, too.
func TestLocalEnds(t *testing.T) {
	s := startLocal(t, Options{MaxClients: 1})
	first, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if text, err := io.ReadAll(second); err != nil || !strings.Contains(string(text), "max number of clients") {
		t.Errorf("one too many gets %q, %v", text, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(first); err != nil || len(text) > 0 {
		t.Errorf("at the end a client gets %q, %v", text, err)
	}
	if _, err := s.Dial(t.Context()); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Dial after the end: %v", err)
	}
}

// Nobody is let in before Serve, and Dial says what it is for.
func TestLocalDial(t *testing.T) {
	s, err := New(Options{Local: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial before Serve: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Local") {
		t.Errorf("Dial to a server with ports: %v", err)
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
