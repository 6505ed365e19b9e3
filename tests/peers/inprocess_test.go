package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics([]byte("# a comment\nget_ns 120.5\n\nkeys 10\nget_ns 121\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := report{"get_ns": {120.5, 121}, "keys": {10}}
	if !maps.EqualFunc(got, want, slices.Equal[[]float64]) {
		t.Errorf("parseMetrics = %v, want %v", got, want)
	}
	for _, bad := range []string{"one\n", "one two\n", "one 2 3\n"} {
		if got, err := parseMetrics([]byte(bad)); err == nil {
			t.Errorf("parseMetrics(%q) = %v, want an error", bad, got)
		}
	}
}

func TestPickRefusesAMissingMetric(t *testing.T) {
	if got, err := (report{"a": {1}}).pick("a", "b"); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("pick = %v, %v", got, err)
	}
}

// TestRoundsMergeSamples: a repeated measurement gives all its samples, and is made once for all rows.
func TestRoundsMergeSamples(t *testing.T) {
	tools := newToolbox(&bench{cfg: config{rounds: 3}, ticks: readTicks})
	calls := 0.0
	for range 2 {
		got, err := tools.rounds("x", func() (report, error) {
			calls++
			return report{"n": {calls}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got["n"], []float64{1, 2, 3}) {
			t.Errorf("samples %v, want 1 2 3", got["n"])
		}
	}
}

func TestEngineFlags(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "engine"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "engine", "cgo.go")
	if _, err := cgoWords(root, "CFLAGS"); err == nil {
		t.Error("flags were read from a file that isn't there")
	}
	if err := os.WriteFile(file, []byte("package engine\n\n/*\n#cgo CFLAGS: -std=gnu11 -O2\n#include \"nitro.h\"\n*/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := cgoWords(root, "CFLAGS")
	if err != nil || !slices.Equal(got, []string{"-std=gnu11", "-O2"}) {
		t.Errorf("cgoWords = %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("package engine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := cgoWords(root, "CFLAGS"); err == nil {
		t.Errorf("a file without flags gave %q", got)
	}
}

// TestThreadsAnswersEverything: every workload runs against the real engine, and each batch's replies have the size of hits.
func TestThreadsAnswersEverything(t *testing.T) {
	store, err := engine.Open(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out strings.Builder
	if err := measureThreads(store, 1000, 20*time.Millisecond, &out); err != nil {
		t.Fatal(err)
	}
	got, err := parseMetrics([]byte(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads {
		v, err := got.pick(w.name+"_1", w.name+"_2")
		if err != nil {
			t.Fatal(err)
		}
		if v[0][0] <= 0 || v[1][0] <= 0 {
			t.Errorf("%s: %v requests a second", w.name, v)
		}
	}
}
