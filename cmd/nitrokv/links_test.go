package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// Snapshots, backups and the past of mode bitcask.

// bitcaskServer serves a folder of small data files, keeps what merges replace, and holds three keys that were written six times.
func bitcaskServer(t *testing.T, dir string) (addr string) {
	t.Helper()
	addr = startServerWith(t, server.Options{Dir: dir, Mode: engine.ModeBitcask, MaxFileBytes: 64 << 10, Merge: engine.MergeOptions{Off: true},
		RetainFor: keepAll})
	putRounds(t, 1, 6, "--addr", addr)
	return addr
}

// putRounds writes three keys in each round; the values show it.
func putRounds(t *testing.T, first, last int, where ...string) {
	t.Helper()
	for round := first; round <= last; round++ {
		for key := range 3 {
			args := append([]string{"put", fmt.Sprint("key", key), roundValue(round)}, where...)
			if r := call("", nil, args...); r.status != 0 {
				t.Fatalf("put: %+v", r)
			}
		}
	}
}

func roundValue(round int) string { return strings.Repeat(fmt.Sprint(round), 9_000) }

// mustHoldRound demands that a folder holds what one round has written.
func mustHoldRound(t *testing.T, dir string, round int) {
	t.Helper()
	for key := range 3 {
		if r := call("", nil, "get", fmt.Sprint("key", key), "--dir", dir); r.status != 0 || r.stdout != roundValue(round) {
			t.Errorf("%s: key%d is %.5q, status %d, %s; want round %d", dir, key, r.stdout, r.status, r.stderr, round)
		}
	}
}

// mustPrint demands that a command succeeds, and returns what it prints.
func mustPrint(t *testing.T, args ...string) string {
	t.Helper()
	r := call("", nil, args...)
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("%q: %+v", args, r)
	}
	return r.stdout
}

// newestSnapshot is the folder of the one that there is.
func newestSnapshot(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v; want one snapshot", found, err)
	}
	return found[0]
}

// A backup of mode bitcask is verified and restored; what it holds is told although the server hasn't counted it.
func TestBitcaskBackup(t *testing.T) {
	addr := bitcaskServer(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "monday")
	made := mustPrint(t, "backup", file, "--addr", addr)
	hash := regexp.MustCompile(`hash [0-9a-f]{32}`).FindString(made)
	if !strings.Contains(made, ": 3 keys, ") || !strings.Contains(made, "LSN 18 of ") || hash == "" || !strings.Contains(made, "read back and verified") {
		t.Errorf("backup: %q", made)
	}
	if text := mustPrint(t, "backup", "verify", file); !strings.HasPrefix(text, file+": whole; 3 keys, ") || !strings.Contains(text, hash) {
		t.Errorf("verify: %q, want %q", text, hash)
	}
	if text := mustPrint(t, "backup", file, "--force", "--no-verify", "--addr", addr); !strings.Contains(text, "about 3 keys") || strings.Contains(text, "hash") {
		t.Errorf("without verifying: %q", text)
	}
	putRounds(t, 7, 7, "--addr", addr)
	for size, files := range map[string]int{"64KiB": 1, "1GiB": 1} {
		dir := filepath.Join(t.TempDir(), "restored")
		if text := mustPrint(t, "restore", file, "--dir", dir, "--max-file-size", size); !strings.HasPrefix(text, "restored 3 keys to "+dir+": LSN 18 of ") {
			t.Errorf("restore: %q", text)
		}
		if found, err := filepath.Glob(filepath.Join(dir, "*.data")); err != nil || len(found) != files {
			t.Errorf("%s: data files %q, %v", size, found, err)
		}
		mustHoldRound(t, dir, 6)
		mustBeError(t, call("", nil, "restore", file, "--dir", dir), dir)
	}
	mustBeError(t, call("", nil, "restore", file, "--dir", filepath.Join(t.TempDir(), "x"), "--max-file-size", "1KiB"), "--max-file-size")
	dir := filepath.Join(t.TempDir(), "converted")
	bitcask := filepath.Join(t.TempDir(), "restored")
	mustPrint(t, "restore", file, "--dir", bitcask)
	mustPrint(t, "convert", "--from", bitcask, "--mode", "memory", "--to", dir)
	addr = startServerWith(t, server.Options{Dir: dir})
	if text := mustPrint(t, "backup", file, "--force", "--addr", addr); !strings.Contains(text, hash) {
		t.Errorf("the backup of a server in mode memory: %q, want %q", text, hash)
	}
}

// A byte that is flipped is found, or does no harm; and a backup that is cut is none.
func TestDamagedBitcaskBackup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monday")
	mustPrint(t, "backup", file, "--addr", bitcaskServer(t, t.TempDir()))
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const flips = 40
	found := 0
	for i := range flips {
		at := i * (len(good) - 1) / (flips - 1)
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		verify := call("", nil, "backup", "verify", file)
		dir := filepath.Join(t.TempDir(), "restored")
		restore := call("", nil, "restore", file, "--dir", dir)
		switch {
		case verify.status == 0 && restore.status == 0:
			mustHoldRound(t, dir, 6)
		case verify.status == exitDamaged && strings.Count(verify.stderr, "\n") == 1 && strings.Contains(verify.stderr, file):
			found++
		default:
			t.Errorf("byte %d of %d: verify %+v, restore %+v", at, len(good), verify, restore)
		}
	}
	if found < flips/2 {
		t.Errorf("%d of %d flipped bytes were found", found, flips)
	}
	for _, n := range []int{0, 511, 512, len(good) / 2, len(good) - 20_000} {
		if err := os.WriteFile(file, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := call("", nil, "backup", "verify", file); r.status != exitDamaged || !strings.Contains(r.stderr, file) {
			t.Errorf("cut to %d bytes: %+v", n, r)
		}
	}
	if r := call("", nil, "backup", "verify", file+"x"); r.status != 2 {
		t.Errorf("no file: %+v", r)
	}
}

// A folder is restored to any moment that is kept; what is not is refused, and the snapshots that there are are named.
func TestBitcaskRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	putRounds(t, 1, 2, "--dir", dir, "--mode", "bitcask")
	p := serveIn(t, dir, "--log-retention", "1h", "--mode", "bitcask", "--merge", "off")
	putRounds(t, 3, 4, "--addr", p.addr)
	for fourth := time.Now(); time.Since(fourth) < 3*time.Millisecond; { // so that a time tells it from the fifth
		runtime.Gosched()
	}
	putRounds(t, 5, 6, "--addr", p.addr)
	mustPrint(t, "cli", "SAVE", "--addr", p.addr)
	mustPrint(t, "merge", "--addr", p.addr)
	putRounds(t, 7, 8, "--addr", p.addr)
	snapshot := newestSnapshot(t, dir)
	to := func() string { return filepath.Join(t.TempDir(), "restored") }
	live := to()
	mustPrint(t, "restore", "--from", snapshot, "--dir", live) // while the server runs
	mustBeError(t, call("", nil, "restore", "--from", snapshot, "--dir", filepath.Join(dir, "new")), "nothing is restored in place")
	mustHoldRound(t, live, 6)
	mustBeError(t, call("", nil, "restore", "--from", dir, "--dir", to()), fmt.Sprint(p.cmd.Process.Pid))
	p.stop(t, syscall.SIGTERM, 0)

	times := map[int]string{}
	for _, round := range []int{1, 4, 6, 8} {
		at := to()
		text := mustPrint(t, "restore", "--from", dir, "--to-lsn", fmt.Sprint(3*round), "--dir", at)
		times[round] = regexp.MustCompile(`LSN \d+ of (\S+)\n`).FindStringSubmatch(text)[1]
		mustHoldRound(t, at, round)
	}
	at := to()
	mustPrint(t, "restore", "--from", dir, "--to-time", times[4], "--dir", at)
	mustHoldRound(t, at, 4)
	for _, path := range []string{dir, snapshot} {
		if text := mustPrint(t, "check", path); !strings.Contains(text, "no damage") || strings.Contains(text, "note: ") {
			t.Errorf("check: %s", text)
		}
	}
	if text := mustPrint(t, "backup", "verify", dir); !strings.Contains(text, "whole; 3 keys") || !strings.Contains(text, "LSN 24 of ") {
		t.Errorf("verify the folder: %s", text)
	}

	// Nobody opens the snapshot itself, which would be written to.
	before := contents(t, snapshot)
	other := filepath.Join(t.TempDir(), "other") // name
	if err := os.Symlink(snapshot, other); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get", "key0", "--dir", snapshot}, {"dump", "--dir", snapshot}, {"serve", "--dir", snapshot, "--port", "0"},
		{"merge", "--dir", snapshot}, {"get", "key0", "--dir", other}} {
		mustBeError(t, call("", nil, args...), "it is a snapshot of the store in the folder above it")
	}
	if r := call("", nil, "convert", "--from", snapshot, "--mode", "memory", "--to", to()); r.status != exitNotMade || !strings.Contains(r.stderr, "it is a snapshot") {
		t.Errorf("convert: %+v", r)
	}
	mustBeSame(t, before, contents(t, snapshot))

	// Without retention the start lets go what was kept, and the snapshot alone still knows.
	p = serveIn(t, dir, "--mode", "bitcask", "--merge", "off")
	mustPrint(t, "merge", "--addr", p.addr)
	p.stop(t, syscall.SIGTERM, 0)
	if kept, err := os.ReadDir(filepath.Join(dir, "retained")); err != nil || len(kept) > 0 {
		t.Errorf("%v is kept, %v", kept, err)
	}
	for _, point := range [][]string{{"--to-lsn", "12"}, {"--to-time", times[4]}} {
		r := call("", nil, append([]string{"restore", "--from", dir, "--dir", to()}, point...)...)
		mustBeError(t, r, "it can be restored from LSN ")
		mustBeError(t, r, "nitrokv backup verify "+snapshot)
	}
	if r := call("", nil, "restore", "--from", dir, "--to-lsn", "99", "--dir", to()); r.status != 2 || strings.Contains(r.stderr, "snapshot") {
		t.Errorf("the future: %+v", r)
	}
	at = to()
	mustPrint(t, "restore", "--from", snapshot, "--to-lsn", "12", "--dir", at)
	mustHoldRound(t, at, 4)
}

// A merge of a folder keeps the past only where some is kept already.
func TestMergeAFolderKeepsThePast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	putRounds(t, 1, 4, "--dir", dir, "--mode", "bitcask")
	retained := filepath.Join(dir, "retained")
	mustPrint(t, "merge", "--dir", dir)
	if kept, err := os.ReadDir(retained); len(kept) > 0 {
		t.Errorf("%v is kept, and nobody has asked for it; %v", kept, err)
	}
	p := serveIn(t, dir, "--mode", "bitcask", "--merge", "off", "--log-retention", "1h")
	putRounds(t, 5, 6, "--addr", p.addr)
	mustPrint(t, "merge", "--addr", p.addr)
	p.stop(t, syscall.SIGTERM, 0)
	before, err := os.ReadDir(retained)
	if err != nil || len(before) == 0 {
		t.Fatalf("%v is kept, %v", before, err)
	}
	putRounds(t, 7, 8, "--dir", dir)
	mustPrint(t, "merge", "--dir", dir)
	if after, err := os.ReadDir(retained); err != nil || len(after) <= len(before) {
		t.Errorf("%v is kept, before it was %v; %v", after, before, err)
	}
	at := filepath.Join(t.TempDir(), "restored")
	mustPrint(t, "restore", "--from", dir, "--to-lsn", "21", "--dir", at)
	mustHoldRound(t, at, 7)
}
