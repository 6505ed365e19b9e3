package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// allBytes is every byte value, so that nothing that is special to a shell or a line gets lost unseen.
func allBytes() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// one demands exactly one line on stderr, the way an error of the command line has to look.
func one(t *testing.T, r result) {
	t.Helper()
	if r.status != 2 || strings.Count(r.stderr, "\n") != 1 || r.stdout != "" {
		t.Errorf("got status %d, stdout %q, stderr %q; want 2, nothing, and one line", r.status, r.stdout, r.stderr)
	}
}

func TestPutGetDelete(t *testing.T) {
	p := start(t)
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(allBytes()), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		input  string
		args   []string
		status int
		stdout string
	}{
		{"put", "", []string{"put", "user_id", "42069"}, 0, ""},
		{"get writes the value and nothing else", "", []string{"get", "user_id"}, 0, "42069"},
		{"a verb in capitals", "", []string{"PUT", "user_id", "1"}, 0, ""},
		{"get in capitals", "", []string{"GET", "user_id"}, 0, "1"},
		{"a value that looks like a flag", "", []string{"put", "number", "-5"}, 0, ""},
		{"and comes back", "", []string{"get", "number"}, 0, "-5"},
		{"a value from stdin", allBytes(), []string{"put", "bytes", "-"}, 0, ""},
		{"comes back byte by byte", "", []string{"get", "bytes"}, 0, allBytes()},
		{"a value from a file", "", []string{"put", "file", "--file", file}, 0, ""},
		{"comes back byte by byte too", "", []string{"get", "file"}, 0, allBytes()},
		{"an empty value", "", []string{"put", "empty", ""}, 0, ""},
		{"is found, and empty", "", []string{"get", "empty"}, 0, ""},
		{"a missing key", "", []string{"get", "missing"}, 1, ""},
	}
	for _, s := range steps {
		r := p.cli(t, s.input, s.args...)
		quiet := s.args[0] != "get" && s.args[0] != "GET"
		if r.status != s.status || !quiet && r.stdout != s.stdout {
			t.Errorf("%s: %q: status %d, stdout %q, stderr %q; want %d, %q", s.name, s.args, r.status, r.stdout,
				r.stderr, s.status, s.stdout)
		}
	}
	if r := p.cli(t, "", "del", "user_id", "number"); r.status != 0 {
		t.Errorf("del of two keys: status %d, stderr %q", r.status, r.stderr)
	}
	if r := p.cli(t, "", "get", "user_id"); r.status != 1 {
		t.Errorf("get after del: status %d, stdout %q", r.status, r.stdout)
	}
	if r := p.cli(t, "", "stats"); r.status != 0 || !strings.Contains(r.stdout, "keys") {
		t.Errorf("stats: status %d, stdout %q", r.status, r.stdout)
	}
}

// A value of 20 MiB goes through chunks of the binary protocol and large blocks of the engine.
func TestLargeValue(t *testing.T) {
	p := start(t)
	value := strings.Repeat(allBytes(), 20<<20/256)
	if r := p.cli(t, value, "put", "large", "-"); r.status != 0 {
		t.Fatalf("put: status %d, stderr %q", r.status, r.stderr)
	}
	if r := p.cli(t, "", "get", "large"); r.status != 0 || r.stdout != value {
		t.Errorf("get: status %d, %d bytes of %d, stderr %q", r.status, len(r.stdout), len(value), r.stderr)
	}
}

// A server that isn't there: one line that says how to start one.
func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil { // so that nobody listens there
		t.Fatal(err)
	}
	r := command(t, "", binary, "--addr", addr, "get", "k")
	one(t, r)
	if !strings.Contains(r.stderr, "serve") {
		t.Errorf("the error does not say how to start a server: %q", r.stderr)
	}
}

// A busy port: one line, status 2, and the option to use.
func TestBusyPort(t *testing.T) {
	p := start(t)
	r := command(t, "", binary, "serve", "--listen", p.addr, "--dir", filepath.Join(t.TempDir(), "data"))
	if r.status != 2 || !strings.Contains(r.stderr, "--") || !strings.Contains(r.stderr, p.addr) {
		t.Errorf("status %d, stderr %q; want 2, the address and an option", r.status, r.stderr)
	}
}

func TestUnknownVerb(t *testing.T) {
	r := command(t, "", binary, "sreve")
	one(t, r)
	if !strings.Contains(r.stderr, "serve") {
		t.Errorf("the error does not suggest serve: %q", r.stderr)
	}
}

func TestVersion(t *testing.T) {
	r := command(t, "", binary, "version")
	if r.status != 0 || !strings.Contains(r.stdout, "0.1.0") {
		t.Errorf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}
