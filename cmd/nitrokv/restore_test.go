package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A folder is restored at an LSN, and at a time, and stays as it is.
func TestRestoreToAPoint(t *testing.T) {
	dir := madeFolder(t) // five keys, LSN 1 to 5
	before := contents(t, dir)
	restored := func(args ...string) (keys int, said string) {
		t.Helper()
		to := filepath.Join(t.TempDir(), "restored")
		r := call("", nil, append([]string{"restore", "--from", dir, "--dir", to}, args...)...)
		if r.status != 0 || r.stderr != "" {
			t.Fatalf("%q: %+v", args, r)
		}
		for i := range 5 {
			if call("", nil, "get", fmt.Sprint("key", i), "--dir", to).status == 0 {
				if keys++; keys != i+1 {
					t.Errorf("%q: key%d is there, and one before it is not", args, i)
				}
			}
		}
		return keys, r.stdout
	}
	said := regexp.MustCompile(`restored (\d) keys? to .*: LSN (\d) of (\S+)\n`)
	for lsn := 1; lsn <= 5; lsn++ {
		keys, text := restored("--to-lsn", fmt.Sprint(lsn))
		m := said.FindStringSubmatch(text)
		if m == nil || m[1] != fmt.Sprint(lsn) || m[2] != fmt.Sprint(lsn) || keys != lsn {
			t.Errorf("to LSN %d: %d keys, %q", lsn, keys, text)
		}
	}
	keys, text := restored()
	newest := said.FindStringSubmatch(text)
	if keys != 5 || newest == nil {
		t.Fatalf("the newest: %d keys, %q", keys, text)
	}
	if keys, text := restored("--to-time", newest[3]); keys != 5 {
		t.Errorf("to the time of the newest: %d keys, %q", keys, text)
	}
	mustBeSame(t, before, contents(t, dir))
}

// A moment that nothing is kept of is refused, with what there is, and nothing is made.
func TestRestoreOutsideTheWindow(t *testing.T) {
	dir := madeFolder(t)
	to := filepath.Join(t.TempDir(), "restored")
	r := call("", nil, "restore", "--from", dir, "--to-lsn", "77", "--dir", to)
	mustBeError(t, r, "LSN 77")
	mustBeError(t, r, "LSN 5 of "+time.Now().UTC().Format("2006-"))
	file, _ := backedUp(t)
	mustBeError(t, call("", nil, "restore", file, "--to-lsn", "1", "--dir", to), "LSN 5 of ")
	mustBeError(t, call("", nil, "restore", file, "--to-time", "2001-01-01T00:00:00Z", "--dir", to), "2001-01-01")
	mustBeError(t, call("", nil, "get", "key0", "--dir", to), "no store")
}

// Keys that have expired since are gone, or stay for good.
func TestRestoreKeepsExpired(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	for _, args := range [][]string{{"put", "short", "v", "--ttl", "2s"}, {"put", "long", "v", "--ttl", "1h"}, {"put", "stays", "v"}} {
		if r := call("", nil, append(args, "--addr", p.addr)...); r.status != 0 {
			t.Fatalf("put: %+v", r)
		}
	}
	for deadline := time.Now().Add(patience); call("", nil, "get", "short", "--addr", p.addr).status != exitNotFound; {
		if time.Now().After(deadline) {
			t.Fatal("the key doesn't expire")
		}
	}
	p.stop(t, syscall.SIGTERM, 0)
	for _, test := range []struct {
		args []string
		ttl  string // of short; empty: it is gone
		said string
	}{
		{nil, "", "restored 0 keys"},
		{[]string{"--keep-expired"}, "none\n", "1 key of these had expired since then"},
	} {
		to := filepath.Join(t.TempDir(), "restored")
		r := call("", nil, append([]string{"restore", "--from", dir, "--to-lsn", "1", "--dir", to}, test.args...)...)
		if r.status != 0 || !strings.Contains(r.stdout, test.said) {
			t.Errorf("%q: %+v", test.args, r)
		}
		if r := call("", nil, "ttl", "short", "--dir", to); r.stdout != test.ttl {
			t.Errorf("%q: ttl: %+v", test.args, r)
		}
	}
}

// Nothing is restored in place, whatever the two places are called.
func TestRestoreNeverInPlace(t *testing.T) {
	dir := madeFolder(t)
	before := contents(t, dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	file, _ := backedUp(t)
	for _, args := range [][]string{
		{"--from", dir, "--dir", dir}, {"--from", dir, "--dir", dir + "/."}, {"--from", dir, "--dir", filepath.Join(dir, "new", "er")},
		{"--from", dir, "--dir", link}, {"--from", link, "--dir", filepath.Join(dir, "new")}, {"--from", link, "--dir", filepath.Join(link, "..data")},
		{file, "--dir", filepath.Dir(file)},
	} {
		mustBeError(t, call("", nil, append([]string{"restore"}, args...)...), "nothing is restored in place")
	}
	mustBeSame(t, before, contents(t, dir))
	mustBeAlone(t, file)
	beside := filepath.Join(filepath.Dir(file), "restored")
	if r := call("", nil, "restore", file, "--dir", beside); r.status != 0 {
		t.Errorf("beside the file: %+v", r)
	}
}

func TestRestoreErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	to := filepath.Join(t.TempDir(), "restored")
	for want, args := range map[string][]string{
		"from what?":                  {"--dir", to},
		"to where?":                   {"file"},
		"needs one file, got 2":       {"a", "b", "--dir", to},
		"got file and --from other":   {"file", "--from", "other", "--dir", to},
		"both given":                  {"file", "--to-lsn", "5", "--to-time", "2030-01-01T00:00:00Z", "--dir", to},
		`--to-lsn "-5": not an LSN`:   {"file", "--to-lsn=-5", "--dir", to},
		`--to-lsn "0": not an LSN`:    {"file", "--to-lsn", "0", "--dir", to},
		`--to-time "noon": not a`:     {"file", "--to-time", "noon", "--dir", to},
		"no such file":                {filepath.Join(dir, "absent"), "--dir", to},
		fmt.Sprint(p.cmd.Process.Pid): {"--from", dir, "--dir", to}, // a server has it
	} {
		mustBeError(t, call("", nil, append([]string{"restore"}, args...)...), want)
	}
	p.stop(t, syscall.SIGTERM, 0)
}
