package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A supervisor is the service manager's end of NOTIFY_SOCKET.
type supervisor struct{ conn *net.UnixConn }

// newSupervisor listens at an address and puts it into the environment.
func newSupervisor(t *testing.T, address string) *supervisor {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return &supervisor{conn}
}

// socketPath is short enough for a socket, which names in t.TempDir may not be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// next waits for a message.
func (m *supervisor) next(t *testing.T) string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := m.conn.Read(message)
	if err != nil {
		t.Fatalf("no message: %v", err)
	}
	return string(message[:n])
}

func TestNotifierMessages(t *testing.T) {
	for name, address := range map[string]string{"file": socketPath(t), "abstract": fmt.Sprintf("@nitrokv-test-%d", os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			m := newSupervisor(t, address)
			n := &notifier{log: slog.New(slog.DiscardHandler)}
			n.start()
			n.progress(512<<20, 2<<30)
			n.told = time.Now().Add(time.Hour)
			n.progress(1<<30, 2<<30) // too soon after the last
			n.told = time.Time{}
			n.progress(512<<20, 2<<30) // nothing new
			n.progress(0, 0)           // nothing to load
			n.progress(2<<30, 2<<30)
			n.ready()
			n.stop(10 * time.Second)
			n.ready() // the end of loading has come too late
			n.stop(time.Hour)
			for _, want := range []string{
				"STATUS=loading\nEXTEND_TIMEOUT_USEC=900000000",
				"STATUS=loading, 25 % of 2.0 GiB\nEXTEND_TIMEOUT_USEC=900000000",
				"STATUS=loading, 100 % of 2.0 GiB\nEXTEND_TIMEOUT_USEC=900000000",
				"READY=1\nSTATUS=serving",
				"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=70000000",
			} {
				if got := m.next(t); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if _, err := m.conn.WriteTo([]byte("end"), m.conn.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if got := m.next(t); got != "end" {
				t.Errorf("one message more: %q", got)
			}
		})
	}
}

// A manager that isn't there is mentioned once, and stops nothing.
func TestNotifierWithoutManager(t *testing.T) {
	var out bytes.Buffer
	n := &notifier{log: slog.New(slog.NewTextHandler(&out, nil))}
	t.Setenv("NOTIFY_SOCKET", "")
	n.ready()
	if out.Len() > 0 {
		t.Errorf("without a socket it says %s", out.String())
	}
	t.Setenv("NOTIFY_SOCKET", socketPath(t))
	n.ready()
	n.stop(0)
	if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "service manager can't be told") {
		t.Errorf("it says %q", out.String())
	}
}

// The server itself says when it serves and when it stops, with a log and without one.
func TestServeNotifies(t *testing.T) {
	for name, args := range map[string][]string{
		"memory": {"--dir", "off"},
		"log":    {"--dir", filepath.Join(t.TempDir(), "data")},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSupervisor(t, socketPath(t))
			p := startProgram(t, append([]string{"serve", "--port", "0", "--segments", "4", "--shutdown-timeout", "60s"}, args...)...)
			m.await(t, "READY=1\n")
			if r := call("", nil, "put", "k", "v", "--addr", p.addr); r.status != 0 {
				t.Errorf("put to a server that is ready: %+v", r)
			}
			p.stop(t, syscall.SIGTERM, 0)
			m.await(t, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=120000000")
		})
	}
}

// await skips messages about loading.
func (m *supervisor) await(t *testing.T, want string) {
	t.Helper()
	for {
		got := m.next(t)
		if strings.HasPrefix(got, want) {
			return
		}
		if !strings.HasPrefix(got, "STATUS=loading") {
			t.Fatalf("message %q, want %q", got, want)
		}
	}
}
