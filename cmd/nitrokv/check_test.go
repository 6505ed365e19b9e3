package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
)

// madeFolder is a data folder with some keys, from a server that was stopped.
func madeFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	for i := range 5 {
		if r := call("", nil, "put", fmt.Sprint("key", i), strings.Repeat("v", 100), "--addr", p.addr); r.status != 0 {
			t.Fatalf("put: %+v", r)
		}
	}
	p.stop(t, syscall.SIGTERM, 0)
	return dir
}

// contents are the bytes of every file of a folder but LOCK, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(path)
		all[d.Name()] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// damage flips a bit of the last value that the log holds, and returns the file's name.
func damage(t *testing.T, dir string) string {
	t.Helper()
	for name, b := range contents(t, dir) {
		if at := strings.LastIndex(b, "key4"); at >= 0 && strings.HasSuffix(name, ".log") {
			spoiled := []byte(b)
			spoiled[at+10] ^= 1
			if err := os.WriteFile(filepath.Join(dir, name), spoiled, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
	}
	t.Fatal("no log file holds the key")
	return ""
}

func TestCheckOfASoundFolder(t *testing.T) {
	dir := madeFolder(t)
	before := contents(t, dir)
	for _, args := range [][]string{{"check", dir}, {"check", "--repair", dir}} {
		r := call("", nil, args...)
		if r.status != 0 || r.stderr != "" || !strings.Contains(r.stdout, "5 valid records") || !strings.HasSuffix(r.stdout, "no damage\n") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	mustBeSame(t, before, contents(t, dir))
}

func mustBeSame(t *testing.T, before, after map[string]string) {
	t.Helper()
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("the folder has changed")
	}
}

// Damage is refused by a start, named by a check, and dropped by a repair, which keeps what was there.
func TestCheckAndRepairOfADamagedFolder(t *testing.T) {
	dir := madeFolder(t)
	file := damage(t, dir)
	before := contents(t, dir)
	r := call("", nil, "serve", "--port", "0", "--dir", dir, "--log-format", "text")
	if r.status != exitError || !strings.Contains(r.stderr, file) || !strings.Contains(r.stderr, "nitrokv check "+dir) {
		t.Errorf("serve: %+v", r)
	}
	r = call("", nil, "check", dir)
	if r.status != exitDamaged || !strings.Contains(r.stdout, "DAMAGE: "+file) || !strings.Contains(r.stdout, "would drop 1 record (") ||
		!strings.Contains(r.stdout, "nitrokv check "+dir+" --repair") || !strings.Contains(r.stderr, dir+" is damaged") {
		t.Errorf("check: %+v", r)
	}
	mustBeSame(t, before, contents(t, dir))
	if r = call("", nil, "check", dir, "--repair"); r.status != 0 || !strings.Contains(r.stdout, "repaired: dropped 1 record (") {
		t.Errorf("repair: %+v", r)
	}
	mustBeKept(t, before, contents(t, dir))
	p := serveIn(t, dir)
	for i, want := range []int{0, 0, 0, 0, exitNotFound} {
		if r := call("", nil, "get", fmt.Sprint("key", i), "--addr", p.addr); r.status != want {
			t.Errorf("key%d after the repair: %+v", i, r)
		}
	}
	p.stop(t, syscall.SIGTERM, 0)
}

// mustBeKept demands that every file is as it was before, or lies beside itself as it was.
func mustBeKept(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, b := range before {
		kept := after[name] == b
		for other, copied := range after {
			kept = kept || strings.HasPrefix(other, name+".bak-") && copied == b
		}
		if !kept {
			t.Errorf("%s was changed and no copy of it kept", name)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	mustBeError(t, call("", nil, "check", dir), fmt.Sprint(p.cmd.Process.Pid))
	p.stop(t, syscall.SIGTERM, 0)
	empty := t.TempDir()
	mustBeError(t, call("", nil, "check", empty), empty)
	mustBeError(t, call("", nil, "check", filepath.Join(empty, "absent")), "absent")
	mustBeError(t, call("", nil, "check"), "needs one folder")
	mustBeError(t, call("", nil, "check", "a", "b"), "needs one folder")
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A report that could not be written is no success.
func TestCheckWhoseReportIsLost(t *testing.T) {
	var errs bytes.Buffer
	status := run([]string{"check", madeFolder(t)}, terminal{nil, fullDisk{}, &errs, nil})
	if status != exitError || !strings.Contains(errs.String(), "stdout") {
		t.Errorf("status %d, %q", status, errs.String())
	}
}

func TestFindingText(t *testing.T) {
	for want, f := range map[string]engine.Finding{
		"DAMAGE: MANIFEST, offset 12: LSN 7: torn": {Damage: true, File: "MANIFEST", Offset: 12, LSN: 7, Text: "torn"},
		"note: nothing serious":                    {Text: "nothing serious"},
	} {
		if got := findingText(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
