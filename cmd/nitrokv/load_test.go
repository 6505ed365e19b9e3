package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/transfer"
)

// write makes a file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// holds demands that the keys of a server have these values.
func holds(t *testing.T, env []string, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if r := call("", env, "get", key); r.status != 0 || r.stdout != value {
			t.Errorf("get %q: %+v; want %q", key, r, value)
		}
	}
}

func TestLoadFile(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	text := "a\t1\n{\"key\":\"b\",\"value\":\"two\\nlines\"}\n{user}:1\tv\n" + `{"key":"old","value":"x","expires_at":"2001-01-01T00:00:00Z"}` + "\na\t2"
	for name, r := range map[string]result{
		"a file": call("", env, "load", write(t, text)),
		"stdin":  call(text, env, "load", "-"),
	} {
		if r.status != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, "loaded 4 keys, 23 B, in ") || !strings.HasSuffix(r.stdout, "; 1 had expired\n") {
			t.Errorf("%s: %+v", name, r)
		}
		holds(t, env, map[string]string{"a": "2", "b": "two\nlines", "{user}:1": "v"})
	}
	if r := call("", env, "get", "old"); r.status != exitNotFound {
		t.Errorf("an entry whose time is over: %+v", r)
	}
}

// Of a key that comes twice the last value counts, though its time is over: neither the value in front of it stays, nor one
// that was there before.
func TestLoadExpiredValueWins(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	if r := call("", env, "set", "there", "old"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	const over = `"value":"new","expires_at":"2020-01-01T00:00:00Z"}` + "\n"
	r := call(`{"key":"k","value":"old"}`+"\n"+`{"key":"k",`+over+`{"key":"there",`+over, env, "load", "-")
	if r.status != 0 || !strings.HasPrefix(r.stdout, "loaded 1 key, ") || !strings.HasSuffix(r.stdout, "; 2 had expired\n") {
		t.Errorf("%+v", r)
	}
	for _, key := range []string{"k", "there"} {
		if r := call("", env, "get", key); r.status != exitNotFound {
			t.Errorf("get %s: %+v", key, r)
		}
	}
}

// A line with something wrong: what, where, how far the load has come, and what to do.
func TestLoadBadLine(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	path := write(t, "a\t1\nb\t2\nwrong\nc\t3\n")
	r := call("", env, "load", path)
	mustBeError(t, r, "load: "+path+`:3: no tab in "wrong"`)
	for _, want := range []string{"2 keys were loaded", "up to line 2", "--keep-going"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %s", want, r.stderr)
		}
	}
	holds(t, env, map[string]string{"a": "1", "b": "2"})
	if r := call("", env, "get", "c"); r.status != exitNotFound {
		t.Errorf("the line after it was loaded: %+v", r)
	}
}

// With --keep-going everything else is loaded, each such line is named as long as they are few, and the status is 1.
func TestLoadKeepGoing(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	text := "a\t1\n" + strings.Repeat("wrong\n", problemsShown+5) + strings.Repeat("k", 70000) + "\tv\nb\t2\n"
	r := call("", env, "load", "--keep-going", write(t, text))
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if r.status != exitPartial || len(lines) != problemsShown+2 || !strings.Contains(r.stdout, fmt.Sprintf("left out %d with something wrong", problemsShown+6)) {
		t.Errorf("status %d, stdout %q, %d lines on stderr: %q", r.status, r.stdout, len(lines), lines)
	}
	if !strings.Contains(lines[0], ":2: no tab") || !strings.Contains(lines[problemsShown], "only counted") || !strings.Contains(lines[problemsShown+1], "not everything was loaded") {
		t.Errorf("stderr %q", lines)
	}
	holds(t, env, map[string]string{"a": "1", "b": "2"})
}

// What the server refuses is told with the line.
func TestLoadRefusedByTheServer(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	path := write(t, "a\t1\n"+strings.Repeat("k", 70000)+"\tv\n")
	r := call("", env, "load", path)
	mustBeError(t, r, path+":2: SET")
	if !strings.Contains(r.stderr, "--keep-going") {
		t.Errorf("stderr %q", r.stderr)
	}
}

func TestLoadDryRun(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + refused(t)} // nobody is asked
	r := call("a\t1\nb\t2\n", env, "load", "-", "--dry-run")
	if r.status != 0 || r.stdout != "nothing was loaded; 2 entries, 4 B, could be\n" {
		t.Errorf("%+v", r)
	}
	mustBeError(t, call("a\t1\nb", env, "load", "-", "--dry-run"), `stdin:2: no tab in "b"; write`)
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func TestLoadErrors(t *testing.T) {
	addr := startServer(t)
	other := startServer(t)
	nobody := refused(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"load"}, "needs one source"},
		{[]string{"load", "a", "b"}, "needs one source, got 2"},
		{[]string{"load", "/no/such/file"}, "load: open /no/such/file"},
		{[]string{"load", t.TempDir()}, "is a directory"},
		{[]string{"load", "-", "--format", "xml"}, "--format"},
		{[]string{"load", "-", "--addr", nobody}, "no server answers at " + nobody},
		{[]string{"load", "redis://me:sekret@h"}, "--source-password-file"},
		{[]string{"load", "rediss://h"}, "TLS"},
		{[]string{"load", "redis://h", "--dry-run"}, "--dry-run"},
		{[]string{"load", "redis://h", "--format", "json"}, "--format"},
		{[]string{"load", "redis://" + nobody}, "the source: connect to " + nobody},
		{[]string{"load", "redis://" + addr}, "is the server to load into"},
		{[]string{"load", "redis://" + other}, "nitrokv dump --addr " + other + " | nitrokv load -"},
		{[]string{"load", "redis://h", "--source-password-file", "/no/such/file"}, "/no/such/file"},
	} {
		args := test.args
		if args[len(args)-1] != nobody {
			args = append(args, "--addr", addr)
		}
		r := call("", nil, args...)
		mustBeError(t, r, test.want)
		if strings.Contains(r.stderr, "sekret") {
			t.Errorf("the password is told: %s", r.stderr)
		}
	}
}

// dumped returns the entries of a dump by key.
func dumped(t *testing.T, text string) map[string]map[string]string {
	t.Helper()
	entries := make(map[string]map[string]string)
	for line := range strings.Lines(text) {
		var e map[string]string
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		entries[e["key"]] = e
	}
	return entries
}

func TestDumpCommand(t *testing.T) {
	addr := startServer(t)
	env := []string{"NITROKV_ADDR=" + addr}
	c, err := client.Open(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at := time.Date(2040, 1, 31, 12, 0, 0, 250e6, time.UTC)
	for key, options := range map[string][]client.SetOption{"a": nil, "later": {client.WithExpiry(at)}} {
		if err := c.Set(ctx, key, []byte("v\n"), options...); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	toFile := call("", env, "dump", path)
	if toFile.status != 0 || toFile.stdout != "" || !strings.HasPrefix(toFile.stderr, "dumped 2 keys, 10 B, in ") {
		t.Errorf("to a file: %+v", toFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"to a file": string(text), "to stdout": call("", env, "dump").stdout, "to -": call("", env, "dump", "-").stdout,
	} {
		got := dumped(t, text)
		if len(got) != 2 || got["a"]["value"] != "v\n" || got["a"]["expires_at"] != "" || got["later"]["expires_at"] != "2040-01-31T12:00:00.250Z" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDumpErrors(t *testing.T) {
	addr := startServer(t)
	nobody := refused(t)
	kept := write(t, "the old dump")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"dump", "a", "b", "--addr", addr}, "takes one file"},
		{[]string{"dump", "--addr", nobody}, "no server answers at " + nobody},
		{[]string{"dump", kept, "--addr", nobody}, kept + " is as it was"},
		{[]string{"dump", "/no/such/folder/file", "--addr", addr}, "write to /no/such/folder/file"},
		{[]string{"dump", t.TempDir(), "--addr", addr}, "is a directory"},
	} {
		mustBeError(t, call("", nil, test.args...), test.want)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "the old dump" {
		t.Errorf("a failed dump has left %q, %v", text, err)
	}
}

// Only of a file that was left alone it is said that it is as it was.
func TestDumpErrorSaysWhatStandsThere(t *testing.T) {
	const asItWas, notWhole = "f is as it was", "what was written is not whole, 2 keys at most"
	for standing, want := range map[transfer.Standing]string{
		transfer.Old: asItWas, transfer.InPlace: notWhole, transfer.New: "f is the new dump and whole, but may be",
	} {
		text := dumpError(t.Context(), &kvConfig{}, "f", standing, &transfer.DumpTotals{Keys: 2}, errors.New("no room")).Error()
		if !strings.HasPrefix(text, "write to f: no room; "+want) || standing != transfer.Old && strings.Contains(text, asItWas) {
			t.Errorf("%d: %s", standing, text)
		}
	}
}

// A device that takes no more is no file that was kept.
func TestDumpToFullDevice(t *testing.T) {
	const device = "/dev/full"
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	if r := call("", env, "set", "k", "v"); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	r := call("", env, "dump", device)
	mustBeError(t, r, "what was written is not whole, 1 key at most")
	if strings.Contains(r.stderr, "is as it was") {
		t.Error(r.stderr)
	}
}
