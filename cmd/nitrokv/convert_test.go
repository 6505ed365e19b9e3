package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A folder goes to the other mode and back, and says so.
func TestConvertThereAndBack(t *testing.T) {
	dir := madeFolder(t)
	disk, back := filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "back")
	hashes := map[string]bool{}
	for _, step := range [][]string{{dir, "bitcask", disk, "memory"}, {disk, "memory", back, "bitcask"}} {
		r := call("", nil, "convert", "--from", step[0], "--mode", step[1], "--to", step[2])
		said := fmt.Sprintf("converted 5 keys, 520 B, from %s (mode %s) to %s (mode %s), compared by content hash ", step[0], step[3], step[2], step[1])
		after, found := strings.CutPrefix(r.stdout, said)
		if r.status != 0 || r.stderr != "" || !found || !strings.HasSuffix(after, "\nstart a server with it: nitrokv serve --dir "+step[2]+"\n") {
			t.Fatalf("%+v, want %q", r, said)
		}
		hash, _, _ := strings.Cut(after, ";")
		hashes[hash] = true
	}
	if len(hashes) != 1 {
		t.Errorf("the same contents have the hashes %v", hashes)
	}
	for i := range 5 {
		if r := call("", nil, "get", fmt.Sprint("key", i), "--dir", back); r.stdout != strings.Repeat("v", 100) {
			t.Errorf("key%d: %+v", i, r)
		}
	}
}

// What is not said, and what contradicts itself, is refused before anything is looked at.
func TestConvertUsage(t *testing.T) {
	dir := madeFolder(t)
	before := contents(t, dir)
	for want, args := range map[string][]string{
		"from what?":                   {"--mode", "memory", "--to", "new"},
		"to which mode?":               {"--from", dir, "--to", "new"},
		"to where?":                    {"--from", dir, "--mode", "memory"},
		`--mode "lsm": unknown; use`:   {"--from", dir, "--mode", "lsm", "--to", "new"},
		"new is in " + dir:             {"--from", dir, "--mode", "memory", "--to", filepath.Join(dir, "new")},
		" is in " + dir + ", which is": {"--from", dir, "--mode", "memory", "--to", dir},
		`unexpected "more"`:            {"--from", dir, "--mode", "memory", "--to", "new", "more"},
	} {
		mustBeError(t, call("", nil, append([]string{"convert"}, args...)...), want)
	}
	mustBeSame(t, before, contents(t, dir))
}

// What can't be converted ends with status 1, one line, and nothing made.
func TestConvertErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveIn(t, dir)
	to := filepath.Join(t.TempDir(), "new")
	for want, args := range map[string][]string{
		fmt.Sprint(p.cmd.Process.Pid):                         {"--from", dir, "--to", to}, // a server has it
		"stop it, or choose another folder; nothing was made": {"--from", dir, "--to", to},
		"there is no store in":                                {"--from", t.TempDir(), "--to", to},
	} {
		r := call("", nil, append([]string{"convert", "--mode", "bitcask"}, args...)...)
		if r.status != exitNotMade || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, want) ||
			!strings.HasPrefix(r.stderr, "nitrokv: convert: not converted: ") {
			t.Errorf("%+v, want %q", r, want)
		}
	}
	p.stop(t, syscall.SIGTERM, 0)
	mustBeError(t, call("", nil, "get", "k", "--dir", to), "there is no store in")
}
