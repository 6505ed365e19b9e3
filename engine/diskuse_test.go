package engine

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// diskUse is what du says of a folder.
func diskUse(t *testing.T, dir string) uint64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "--block-size=512", dir).Output()
	if err != nil {
		t.Fatalf("du: %v", err)
	}
	n, err := strconv.ParseUint(strings.Fields(string(out))[0], 10, 64)
	if err != nil {
		t.Fatalf("du: %q: %v", out, err)
	}
	return 512 * n
}

// A snapshot has the files under a second name, and takes hardly any room for that; when merges have replaced them, it
// takes theirs.
func TestDiskBytes(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, Mode: ModeBitcask, MaxFileBytes: 256 << 10, Merge: MergeOptions{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill := func() {
		for i := range 1000 {
			if err := s.Set(fmt.Appendf(nil, "key-%d", i), bytes.Repeat([]byte{'x'}, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func() uint64 {
		t.Helper()
		var got, want uint64
		for range 20 { // room may be set aside between the two looks
			var err error
			if got, err = s.DiskBytes(); err != nil {
				t.Fatal(err)
			}
			if want = diskUse(t, dir); got == want {
				return got
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("%d bytes; du says %d", got, want)
		return got
	}
	const data, file = 1 << 20, 256 << 10
	fill()
	if _, err := s.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := look(); n < data || n > data+3*file {
		t.Errorf("%d bytes for %d bytes of data and their snapshot", n, data)
	}
	fill()
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := look(); n < 2*data || n > 2*data+4*file {
		t.Errorf("%d bytes for %d bytes of data and a snapshot of what they were", n, data)
	}
}
