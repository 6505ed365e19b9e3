package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// put writes a file.
func put(t *testing.T, path string, size int, first byte) {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = first
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHintsStayOrGo(t *testing.T) {
	dir := t.TempDir()
	if err := wantHints(dir, true); err == nil {
		t.Error("a folder without hints is taken for one with some")
	}
	for _, name := range []string{"1.hint", "2.hint", "1.log"} {
		put(t, filepath.Join(dir, name), 1, 'a')
	}
	for _, stay := range []bool{true, false} {
		if err := wantHints(dir, stay); err != nil {
			t.Fatal(err)
		}
		want := 1
		if stay {
			want = 3
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != want {
			t.Errorf("%v, %v are left, want %d files", left, err, want)
		}
	}
}

func TestRawReadsLieInTheDataFiles(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "1.log"), 2*dataFileBytes, 'x')
	put(t, filepath.Join(dir, "2.log"), dataFileBytes, 'x')
	put(t, filepath.Join(dir, "1.hint"), dataFileBytes, 'h')
	put(t, filepath.Join(dir, "LOCK"), 1, 'l')
	r, err := openRaw(dir, 3*dataFileBytes/1000)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	if r.size() != 3*dataFileBytes || len(r.files) != 2 {
		t.Fatalf("%d bytes in %d files, want %d in 2", r.size(), len(r.files), 3*dataFileBytes)
	}
	random, buf := rand.New(rand.NewPCG(1, 1)), make([]byte, r.record)
	for range 1000 {
		clear(buf)
		if err := r.read(random, buf); err != nil {
			t.Fatal(err)
		}
		if buf[0] != 'x' || buf[len(buf)-1] != 'x' {
			t.Fatal("a read outside of the files")
		}
	}
}

func TestStatmIsReadInPages(t *testing.T) {
	got, err := parseStatm("1000 30 20 1 0 9 0\n")
	if want := uint64(30 * os.Getpagesize()); err != nil || got != want {
		t.Errorf("%d, %v, want %d", got, err, want)
	}
	if _, err := parseStatm("1000"); err == nil {
		t.Error("half a line is read")
	}
}
