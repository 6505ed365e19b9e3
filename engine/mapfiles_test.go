package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mapped opens a store that maps its data files, with as many keys of 1000 bytes in sealed files as there are.
func mapped(t *testing.T, dir string, keys int) *Store {
	t.Helper()
	o := Options{Dir: dir, Mode: ModeBitcask, MaxFileBytes: 64 << 10, MapFiles: true, Merge: MergeOptions{Off: true}}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := s.Set(mapKey(i), mapValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func mapKey(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }

func mapValue(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%04d", i%10000), 250) }

func checkMapped(t *testing.T, s *Store, keys int) {
	t.Helper()
	for i := range keys {
		if v, err := s.Get(nil, mapKey(i)); err != nil || !bytes.Equal(v, mapValue(i)) {
			t.Fatalf("key %d: %d bytes, %v", i, len(v), err)
		}
	}
}

// What is read through mappings is what was written: in files sealed in this life and in an earlier one, in merged ones,
// and while merges take files away under their readers.
func TestMapFiles(t *testing.T) {
	dir := t.TempDir()
	const keys = 1000
	s := mapped(t, dir, keys)
	checkMapped(t, s, keys)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mapped(t, dir, keys)
	defer s.Close()
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					checkMapped(t, s, keys)
				}
			}
		})
	}
	for range 3 {
		for i := range keys / 2 {
			if err := s.Set(mapKey(2*i), mapValue(2*i)); err != nil {
				t.Error(err)
			}
		}
		if err := s.Merge(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	if f := s.DataFiles(); f.Merges == 0 {
		t.Errorf("nothing was merged: %+v", f)
	}
}

// A file that loses its pages under its mapping is what a disk that fails looks like: an error for the keys in it, and the
// process lives.
func TestMapFilesCutFile(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("files are mapped on amd64 alone")
	}
	dir := t.TempDir()
	const keys = 500
	s := mapped(t, dir, keys)
	defer s.Close()
	deadline := time.Now().Add(10 * time.Second)
	for s.DataFiles().Hints < 5 { // sealed, and mapped
		if time.Now().After(deadline) {
			t.Fatalf("the files were not sealed: %+v", s.DataFiles())
		}
		time.Sleep(20 * time.Millisecond)
	}
	first := filepath.Join(dir, "0000000001.log")
	if err := os.Truncate(first, 4096); err != nil {
		t.Fatal(err)
	}
	var lost, kept int
	for i := range keys {
		v, err := s.Get(nil, mapKey(i))
		switch {
		case err == nil && bytes.Equal(v, mapValue(i)):
			kept++
		case errors.Is(err, ErrIO):
			lost++
		default:
			t.Fatalf("key %d: %d bytes, %v", i, len(v), err)
		}
	}
	if lost < 30 || kept < 300 {
		t.Errorf("%d keys were lost with their file, %d were kept", lost, kept)
	}
	checkOtherBusError(t)
}

// checkOtherBusError shows that a SIGBUS in Go code is a panic, as it is without mapped files.
func checkOtherBusError(t *testing.T) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a page that is not there was read")
		}
		if err := syscall.Munmap(p); err != nil {
			t.Error(err)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if p[100] == 1 {
		t.Error("it is 1")
	}
}

func TestMapFilesOtherModes(t *testing.T) {
	for _, o := range []Options{{MapFiles: true, Dir: t.TempDir(), Mode: ModeMemory}, {MapFiles: true, Dir: t.TempDir()}, {MapFiles: true}} {
		s, err := Open(o)
		if !errors.Is(err, ErrArgument) {
			t.Errorf("%+v: error %v, want %v", o, err, ErrArgument)
		}
		if err == nil {
			s.Close()
		}
	}
}
