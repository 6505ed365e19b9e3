package repl

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "nitrokv", "history")
	h, err := openHistory(path)
	must(t, err)
	for _, line := range []string{"SET a 1", "", "  ", "GET a ", "GET a", "SET a 1"} {
		must(t, h.remember(line))
	}
	must(t, h.close())
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v: %v", name, info.Mode(), want, err)
		}
	}
	h, err = openHistory(path)
	must(t, err)
	if want := []string{"SET a 1", "GET a", "SET a 1"}; !slices.Equal(h.lines, want) {
		t.Errorf("%q, want %q", h.lines, want)
	}
	must(t, h.close())
}

// Two sessions at a time lose nothing of each other.
func TestHistoryIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	a, err := openHistory(path)
	must(t, err)
	b, err := openHistory(path)
	must(t, err)
	must(t, a.remember("from a"))
	must(t, b.remember("from b"))
	must(t, a.remember("from a again"))
	must(t, a.close())
	must(t, b.close())
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "from a\nfrom b\nfrom a again\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// The file has a bound, and its newest lines stay; one that others could read is made private.
func TestHistoryIsShortened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	var text strings.Builder
	for i := range 2*historyLines + 1 {
		fmt.Fprintln(&text, "GET", i)
	}
	must(t, os.WriteFile(path, []byte(text.String()), 0o644))
	h, err := openHistory(path)
	must(t, err)
	must(t, h.remember("last"))
	must(t, h.close())
	kept, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(kept)), "\n")
	if len(lines) != historyLines+1 || lines[0] != fmt.Sprint("GET ", historyLines+1) || lines[historyLines] != "last" {
		t.Errorf("%d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if len(h.lines) != historyLines {
		t.Errorf("%d lines in memory", len(h.lines))
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if others, err := filepath.Glob(path + ".*"); err != nil || len(others) > 0 {
		t.Errorf("left behind: %v, %v", others, err)
	}
}

func TestHistoryElsewhere(t *testing.T) {
	h, err := openHistory("")
	must(t, err)
	must(t, h.remember("GET k"))
	must(t, h.close())
	if len(h.lines) != 1 {
		t.Error(h.lines)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := openHistory(filepath.Join(file, "history")); err == nil {
		t.Error("a history inside a file")
	}
	if _, err := openHistory(t.TempDir()); err == nil {
		t.Error("a history that is a folder")
	}
}
