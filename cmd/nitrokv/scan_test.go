package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/proto"
)

func TestScan(t *testing.T) {
	addr := startServer(t)
	c, err := client.Open(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var want []string
	b := c.Batch()
	for i := range 5000 { // several pages
		key := fmt.Sprintf("user:%04d", i)
		want = append(want, key)
		b.Set(key, []byte("value"))
	}
	if _, err := b.Do(context.Background()); err != nil {
		t.Fatal(err)
	}
	env := []string{"NITROKV_ADDR=" + addr}
	for _, args := range [][]string{{"scan"}, {"SCAN", "user:*"}, {"scan", "--limit", "5000"}} {
		if got := scanned(t, env, args...); !slices.Equal(got, want) {
			t.Errorf("%q lists %d keys, want %d", args, len(got), len(want))
		}
	}
	if got := scanned(t, env, "scan", "user:004?"); len(got) != 10 || got[0] != "user:0040" {
		t.Errorf("a pattern: %q", got)
	}
	if got := scanned(t, env, "scan", "nobody:*"); len(got) != 0 {
		t.Errorf("a pattern that nothing matches: %q", got)
	}
	for _, limit := range []string{"1", "1234"} {
		if got := scanned(t, env, "scan", "--limit", limit); strconv.Itoa(len(got)) != limit {
			t.Errorf("--limit %s: %d keys", limit, len(got))
		}
	}
	mustBeError(t, call("", env, "scan", "a", "b"), "in quotes")
	mustBeError(t, call("", env, "scan", "--limit", "-1"), "--limit")
}

// scanned runs a scan that must succeed and returns its lines, sorted, each once.
func scanned(t *testing.T, env []string, args ...string) []string {
	t.Helper()
	r := call("", env, args...)
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("%q: status %d, stderr %q", args, r.status, r.stderr)
	}
	lines := slices.Sorted(strings.Lines(r.stdout))
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\n")
	}
	return slices.Compact(lines)
}

func TestScanLong(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	for _, args := range [][]string{{"put", "lasting", "12345"}, {"put", "session", "", "--ttl", "1h"}} {
		if r := call("", env, args...); r.status != 0 {
			t.Fatalf("%q: %+v", args, r)
		}
	}
	lines := scanned(t, env, "scan", "--long")
	if len(lines) != 2 || lines[0] != "lasting\tnone\t5" {
		t.Fatalf("lines %q", lines)
	}
	columns := strings.Split(lines[1], "\t")
	if len(columns) != 3 || columns[0] != "session" || columns[2] != "0" {
		t.Fatalf("columns %q", columns)
	}
	if left, err := time.ParseDuration(columns[1]); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

// No key breaks its line, and no two look alike.
func TestKeyText(t *testing.T) {
	for key, want := range map[string]string{
		"user:1": "user:1", "with space": "with space", "Ünï": "Ünï", "it's": "it's", `back\slash`: `back\slash`,
		"": `""`, "two\nlines": `"two\nlines"`, "tab\t": `"tab\t"`, "\x00": `"\x00"`, "\xff": `"\xff"`, `"`: `"\""`, `a"b`: `a"b`,
		"\x1b[2J": `"\x1b[2J"`, "right\u202eleft": `"right\u202eleft"`,
	} {
		if got := keyText(key); got != want {
			t.Errorf("%q becomes %s, want %s", key, got, want)
		}
		if back, err := strconv.Unquote(keyText(key)); keyText(key)[0] == '"' && (err != nil || back != key) {
			t.Errorf("%q comes back as %q, %v", key, back, err)
		}
	}
}

// firstPageOnly answers HELLO and the first SCAN with two keys. Then it hangs up, or goes silent.
func firstPageOnly(t *testing.T, silent bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		r := proto.NewReader(nc, proto.KindRequest, proto.Limits{})
		for pages := 0; ; {
			m, err := r.Next()
			if err != nil {
				return // the client has gone
			}
			var reply []byte
			switch {
			case m.Op() == proto.OpHello:
				reply = proto.AppendHelloReply(nil, proto.Meta{ID: m.ID}, proto.HelloReply{Version: 1, FrameMax: 1 << 20})
			case pages == 0:
				pages++
				reply = proto.AppendScanReply(nil, proto.Meta{ID: m.ID}, 0, 7, []proto.ScanEntry{{Key: []byte("a")}, {Key: []byte("b")}})
			case silent:
				continue
			default:
				return
			}
			if _, err := nc.Write(reply); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// What was listed is not taken for everything.
func TestScanThatBreaksOff(t *testing.T) {
	r := call("", nil, "scan", "--addr", firstPageOnly(t, false))
	if r.status != exitError || r.stdout != "a\nb\n" || strings.Count(r.stderr, "\n") != 1 ||
		!strings.Contains(r.stderr, "the list ends early, after 2 keys: SCAN: connection to") {
		t.Errorf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}

func TestScanOfASilentServer(t *testing.T) {
	addr := firstPageOnly(t, true)
	c, err := client.Open(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	var scan scanConfig
	err = scan.run(context.Background(), c, nil, 20*time.Millisecond, new(bytes.Buffer))
	kv := kvConfig{addr: addr, timeout: 20 * time.Millisecond, eachRequest: true}
	if text := kv.explain(context.Background(), err).Error(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(text, "--timeout") {
		t.Errorf("%v, explained as %q", err, text)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A pipe that is closed or a disk that is full is not taken for the end of the list.
func TestScanOutputFails(t *testing.T) {
	addr := startServer(t)
	if r := call("", nil, "put", "k", "v", "--addr", addr); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	var errs bytes.Buffer
	status := run([]string{"scan", "--addr", addr}, terminal{stdin: strings.NewReader(""), stdout: fullDisk{}, stderr: &errs})
	if status != exitError || !strings.Contains(errs.String(), "write to stdout: no space left") {
		t.Errorf("status %d, stderr %q", status, errs.String())
	}
}
