package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Every command about keys works without a server, and what it has reported is there for the next one.
func TestCommandsInAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my data")
	dumped := filepath.Join(t.TempDir(), "keys.jsonl")
	for _, step := range []struct {
		stdin  string
		args   []string
		status int
		stdout string
	}{
		{"", []string{"put", "user_id", "42069"}, 0, ""}, // makes the folder
		{"", []string{"get", "user_id"}, 0, "42069"},
		{"", []string{"put", "-k", "-5"}, 0, ""},
		{"", []string{"incr", "-k", "7"}, 0, "2\n"},
		{"", []string{"get", "missing"}, exitNotFound, ""},
		{"", []string{"ttl", "-k"}, 0, "none\n"},
		{"", []string{"expire", "-k", "1h"}, 0, ""},
		{"", []string{"cli", "EXISTS", "-k", "user_id"}, 0, "2\n"},
		{"SET piped 1\nGET piped\n", []string{"cli"}, 0, "OK\n1\n"},
		{"", []string{"cli", "NOSUCHCOMMAND"}, exitRefused, ""},
		{"", []string{"del", "-k"}, 0, ""},
		{"", []string{"scan", "p*"}, 0, "piped\n"},
		{"loaded\tvalue\n", []string{"load", "-"}, 0, ""},
		{"", []string{"dump", dumped}, 0, ""},
		{"", []string{"get", "loaded"}, 0, "value"},
	} {
		r := call(step.stdin, nil, append([]string{"--dir", dir}, step.args...)...)
		if r.status != step.status || r.stdout != step.stdout && step.args[0] != "load" {
			t.Errorf("%q: %+v, want %d, %q", step.args, r, step.status, step.stdout)
		}
	}
	text, err := os.ReadFile(dumped)
	if err != nil || strings.Count(string(text), "\n") != 3 {
		t.Errorf("dumped: %q, %v", text, err)
	}
	if r := call("", nil, "stats", "persistence", "--dir", dir); r.status != 0 || !strings.Contains(r.stdout, "loading:0") {
		t.Errorf("stats: %+v", r)
	}
	p := serveIn(t, dir) // and a server finds it all
	if r := call("", nil, "get", "piped", "--addr", p.addr); r.stdout != "1" {
		t.Errorf("get from the server: %+v", r)
	}
	p.stop(t, syscall.SIGTERM, 0)
	if r := call("", nil, "check", dir); r.status != 0 || !strings.Contains(r.stdout, "stopped cleanly") {
		t.Errorf("check: %+v", r)
	}
}

// A misspelled name makes no folder, unless it is to be filled.
func TestNoStoreInTheFolder(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for _, args := range [][]string{{"get", "k"}, {"del", "k"}, {"incr", "k"}, {"scan"}, {"dump", "-"}, {"cli", "GET", "k"}, {"cli"}, {"stats"}} {
		mustBeError(t, call("", nil, append(args, "--dir", absent)...), "there is no store in "+absent)
	}
	if _, err := os.Stat(absent); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustBeError(t, call("", nil, "get", "k", "--dir", file), file)
}

// Of a folder and a server only one is meant; a variable that names a server is no contradiction.
func TestFolderAgainstServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustBeError(t, call("", nil, "get", "k", "--dir", dir, "--addr", "h:1"), "--dir and --addr are both given")
	mustBeError(t, call("", nil, "bench", "--dir", dir), "unknown option --dir")
	env := []string{"NITROKV_ADDR=127.0.0.1:1", "NITROKV_PASSWORD=of-the-server"}
	if r := call("", env, "put", "k", "v", "--dir", dir); r.status != 0 || r.stderr != "" {
		t.Errorf("put: %+v", r)
	}
}

// A person at a terminal edits lines as with a server; a signal ends that cleanly.
func TestCLIInAFolder(t *testing.T) {
	dir := madeFolder(t)
	s := sit(t, []string{"NITROKV_HISTORY=off"}, "cli", "--dir", dir)
	s.expect(dir + "> ")
	s.line("GET key1", `"`+strings.Repeat("v", 100)+`"`)
	s.line("SET key1 changed", "OK")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.left(exitOK)
	if r := call("", nil, "check", dir); r.status != 0 || !strings.Contains(r.stdout, "stopped cleanly") {
		t.Errorf("check: %+v", r)
	}
	if r := call("", nil, "get", "key1", "--dir", dir); r.stdout != "changed" {
		t.Errorf("get: %+v", r)
	}
}

// A folder that a server has is left alone, and the error says who has it and how to ask.
func TestFolderInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	r := call("", nil, "get", "k", "--dir", dir)
	for _, want := range []string{dir, fmt.Sprint(p.cmd.Process.Pid), "--addr"} {
		mustBeError(t, r, want)
	}
	p.stop(t, syscall.SIGTERM, 0)
}

// A snapshot that somebody takes in a folder drops nothing that the folder's server may want to keep.
func TestSaveInAFolderKeepsThePast(t *testing.T) {
	dir := madeFolder(t)
	if r := call("", nil, "cli", "SAVE", "--dir", dir); r.status != 0 || r.stdout != "OK\n" {
		t.Fatalf("SAVE: %+v", r)
	}
	if r := call("", nil, "restore", "--from", dir, "--to-lsn", "2", "--dir", filepath.Join(t.TempDir(), "restored")); r.status != 0 ||
		!strings.HasPrefix(r.stdout, "restored 2 keys") {
		t.Errorf("restore: %+v", r)
	}
}

// Damage is refused as a server's start refuses it.
func TestDamagedFolder(t *testing.T) {
	dir := madeFolder(t)
	file := damage(t, dir)
	before := contents(t, dir)
	mustBeError(t, call("", nil, "get", "key0", "--dir", dir), "nitrokv check "+dir)
	mustBeError(t, call("", nil, "cli", "GET", "key0", "--dir", dir), file)
	mustBeSame(t, before, contents(t, dir))
}

// A load in a folder that is interrupted stops the store cleanly.
func TestInterruptedInAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	c := programCommand("load", "-", "--dir", dir)
	c.Stdin = in
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // fails if it has ended, as it should have
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	// A pipe holds 64 KiB: when all of this is written, some of it has been read, so the signals are caught.
	line := "key\t" + strings.Repeat("v", 1000) + "\n"
	if _, err := feed.WriteString(strings.Repeat(line, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the status is looked at below
	if got := c.ProcessState.ExitCode(); got != exitError || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("status %d, %q", got, errs.String())
	}
	if r := call("", nil, "check", dir); r.status != 0 || !strings.Contains(r.stdout, "stopped cleanly") {
		t.Errorf("check: %+v", r)
	}
}

// What a command in a folder warns of is on stderr, and stays readable.
func TestDumpOfAFolderIsJSON(t *testing.T) {
	dir := madeFolder(t)
	r := call("", nil, "dump", "--dir", dir)
	if r.status != 0 || strings.Count(r.stdout, "\n") != 5 {
		t.Fatalf("%+v", r)
	}
	for line := range strings.Lines(r.stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is not JSON", line)
		}
	}
}
