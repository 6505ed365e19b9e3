package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

const testArchiveFolder = "snapshot-0000000042"

// testArchiveBytes is what file number n of a test's archive holds, as byte_of in tests/c/test_tar.c.
func testArchiveBytes(n, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte((n+1)*167 + i*31 + i>>8)
	}
	return b
}

// testArchive makes an archive of files of these sizes.
func testArchive(t testing.TB, sizes ...int) (*archive, []archiveFile) {
	t.Helper()
	var files []archiveFile
	for i, size := range sizes {
		files = append(files, archiveFile{
			name: fmt.Sprintf("%010d.data", i+1),
			size: int64(size),
			data: bytes.NewReader(testArchiveBytes(i, size)),
			time: time.Unix(1_700_000_000+int64(i), 999_999_999),
		})
	}
	a, err := newArchive(testArchiveFolder, files)
	must(t, err)
	return a, files
}

// readArchive reads all of it.
func readArchive(t testing.TB, a *archive) []byte {
	t.Helper()
	all := make([]byte, a.Size())
	if n, err := a.ReadAt(all, 0); n != len(all) || err != nil {
		t.Fatalf("%d bytes of %d: %v", n, len(all), err)
	}
	return all
}

// TestArchiveHoldsAllFiles that a store may have: as many as there are slots, each with a hint, and CONTROL and MANIFEST.
func TestArchiveHoldsAllFiles(t *testing.T) {
	files := []archiveFile{{name: "CONTROL"}, {name: "MANIFEST"}}
	for i := range 65_535 {
		files = append(files, archiveFile{name: fmt.Sprintf("%010d.data", i+1)}, archiveFile{name: fmt.Sprintf("%010d.hint", i+1)})
	}
	_, err := newArchive(testArchiveFolder, files)
	must(t, err)
}

func TestArchiveIsTar(t *testing.T) {
	a, files := testArchive(t, 0, 1, 511, 512, 513, 1023, 1024, 1025, 3<<20)
	all := readArchive(t, a)
	if !bytes.Equal(all, readArchive(t, a)) {
		t.Error("read twice, it is not the same")
	}
	r := tar.NewReader(bytes.NewReader(all))
	for i, f := range files {
		h, err := r.Next()
		must(t, err)
		if h.Name != testArchiveFolder+"/"+f.name || h.Size != f.size || h.Mode != 0o600 || h.Typeflag != tar.TypeReg ||
			!h.ModTime.Equal(time.Unix(1_700_000_000+int64(i), 0)) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" ||
			h.Format != tar.FormatUSTAR {
			t.Errorf("header %+v", h)
		}
		got, err := io.ReadAll(r)
		must(t, err)
		if !bytes.Equal(got, testArchiveBytes(i, int(f.size))) {
			t.Errorf("%s is not what it was", f.name)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last file: %v", err)
	}
	// As archive/tar itself would write it.
	var want bytes.Buffer
	w := tar.NewWriter(&want)
	for i, f := range files {
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: testArchiveFolder + "/" + f.name, Size: f.size, Mode: 0o600,
			ModTime: time.Unix(1_700_000_000+int64(i), 0), Format: tar.FormatUSTAR}))
		_, err := w.Write(testArchiveBytes(i, int(f.size)))
		must(t, err)
	}
	must(t, w.Close())
	if !bytes.Equal(all, want.Bytes()) {
		t.Error("the bytes are not those that archive/tar writes")
	}
}

// TestArchiveGolden pins the bytes that tests/c/test_tar.c reads.
func TestArchiveGolden(t *testing.T) {
	var files []archiveFile
	for i, f := range []struct {
		name string
		size int
	}{{"0000000001.log", 700}, {"0000000002.data", 512}, {"MANIFEST", 1}, {"CONTROL", 0}} {
		files = append(files, archiveFile{name: f.name, size: int64(f.size), data: bytes.NewReader(testArchiveBytes(i, f.size)),
			time: time.Unix(1_700_000_000, 0)})
	}
	a, err := newArchive(testArchiveFolder, files)
	must(t, err)
	path := filepath.Join("..", "tests", "golden", "v1", "backup.tar")
	got := readArchive(t, a)
	if os.Getenv("NK_GOLDEN_UPDATE") != "" {
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the archive is not that of the golden file")
	}
}

func TestArchiveReadAtAnyOffset(t *testing.T) {
	a, _ := testArchive(t, 0, 700, 512, 1, 0, 5000, 1023)
	all := readArchive(t, a)
	must(t, iotest.TestReader(io.NewSectionReader(a, 0, a.Size()), all))
	check := func(off, n int) {
		t.Helper()
		p := bytes.Repeat([]byte{0xee}, n+1)
		got, err := a.ReadAt(p[:n], int64(off))
		want := all[min(off, len(all)):min(off+n, len(all))]
		if got != len(want) || !bytes.Equal(p[:got], want) || p[n] != 0xee || (err == io.EOF) != (got < n) || (err != nil) != (got < n) {
			t.Fatalf("%d bytes at %d: %d, %v", n, off, got, err)
		}
	}
	for off := range len(all) + 2 {
		check(off, 0)
		check(off, 1)
		check(off, 513)
		check(off, len(all))
	}
	for range 20_000 {
		check(rand.IntN(len(all)+1000), rand.IntN(3000))
	}
	if n, err := a.ReadAt(make([]byte, 1), math.MaxInt64); n != 0 || err != io.EOF {
		t.Errorf("far behind the end: %d, %v", n, err)
	}
	if n, err := a.ReadAt(make([]byte, 1), -1); n != 0 || !errors.Is(err, ErrArgument) {
		t.Errorf("before the start: %d, %v", n, err)
	}
}

func TestArchiveReadByManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var files []archiveFile
	for i := range 20 {
		name := fmt.Sprintf("%010d.log", i+1)
		must(t, root.WriteFile(name, testArchiveBytes(i, i*1000), 0o600))
		f, err := root.Open(name)
		must(t, err)
		defer f.Close()
		st, err := f.Stat()
		must(t, err)
		files = append(files, archiveFile{name: name, size: st.Size(), data: f, time: st.ModTime()})
	}
	a, err := newArchive(testArchiveFolder, files)
	must(t, err)
	all := readArchive(t, a)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p := make([]byte, 5000)
			for range 500 {
				off := rand.IntN(len(all))
				n, err := a.ReadAt(p, int64(off))
				if !bytes.Equal(p[:n], all[off:off+n]) || (err != nil && err != io.EOF) {
					t.Errorf("%d bytes at %d: %v", n, off, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A file that is shorter than it was, and one that can't be read.
func TestArchiveFileFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		data io.ReaderAt
		got  int
		want error
		text string
	}{
		{"shorter", bytes.NewReader(make([]byte, 600)), 600, ErrIO, "MANIFEST ends at 600, it had 1000 bytes"},
		{"empty", bytes.NewReader(nil), 0, ErrIO, "MANIFEST ends at 0, it had 1000 bytes"},
		{"unreadable", failingReaderAt{broken}, 0, broken, "MANIFEST at offset 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := newArchive(testArchiveFolder, []archiveFile{{name: "MANIFEST", size: 1000, data: c.data, time: time.Now()}})
			must(t, err)
			n, err := a.ReadAt(make([]byte, a.Size()), 0)
			if n != archiveBlock+c.got || !errors.Is(err, c.want) || !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%d, %v", n, err)
			}
			if n, err := a.ReadAt(make([]byte, archiveBlock), 0); n != archiveBlock || err != nil {
				t.Errorf("the header alone: %d, %v", n, err)
			}
		})
	}
}

type failingReaderAt struct{ err error }

func (r failingReaderAt) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func TestArchiveRefuses(t *testing.T) {
	file := func(name string, size int64) archiveFile {
		return archiveFile{name: name, size: size, data: failingReaderAt{}}
	}
	for _, c := range []struct {
		name, folder string
		files        []archiveFile
	}{
		{"no files", "f", nil},
		{"too many files", "f", make([]archiveFile, archiveFilesMax+1)},
		{"a name twice", "f", []archiveFile{file("a", 1), file("b", 1), file("a", 1)}},
		{"no name", "f", []archiveFile{file("", 1)}},
		{"no folder", "", []archiveFile{file("a", 1)}},
		{"slash", "f", []archiveFile{file("a/b", 1)}},
		{"up", "f", []archiveFile{file("..", 1)}},
		{"slash in the folder", "f/g", []archiveFile{file("a", 1)}},
		{"not ASCII", "f", []archiveFile{file("ä", 1)}},
		{"control character", "f", []archiveFile{file("a\n", 1)}},
		{"long name", "f", []archiveFile{file(strings.Repeat("n", 99), 1)}},
		{"negative size", "f", []archiveFile{file("a", -1)}},
		{"large size", "f", []archiveFile{file("a", 1<<33)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, err := newArchive(c.folder, c.files); a != nil || !errors.Is(err, ErrArgument) {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
}

// The limits themselves are allowed; times that a header can't hold become the nearest that it can.
func TestArchiveLimits(t *testing.T) {
	name := strings.Repeat("n", 98)
	for _, c := range []struct {
		at   time.Time
		want int64
	}{{time.Time{}, 0}, {time.Unix(1<<33-1, 0), 1<<33 - 1}, {time.Unix(1<<33, 0), 1<<33 - 1}} {
		a, err := newArchive("f", []archiveFile{{name: name, size: 1<<33 - 1, data: failingReaderAt{}, time: c.at}})
		must(t, err)
		if a.Size() != archiveBlock+1<<33+2*archiveBlock {
			t.Errorf("size %d", a.Size())
		}
		h, err := tar.NewReader(io.NewSectionReader(a, 0, a.Size())).Next()
		must(t, err)
		if h.Name != "f/"+name || h.Size != 1<<33-1 || h.ModTime.Unix() != c.want {
			t.Errorf("%+v", h)
		}
	}
	files := make([]archiveFile, archiveFilesMax)
	for i := range files {
		files[i] = archiveFile{name: fmt.Sprint(i), data: failingReaderAt{}}
	}
	a, err := newArchive("f", files)
	must(t, err)
	if a.Size() != (archiveFilesMax+2)*archiveBlock {
		t.Errorf("size %d", a.Size())
	}
}

func TestArchiveReadsWithoutAllocations(t *testing.T) {
	a, _ := testArchive(t, 100_000, 1, 0, 100_000)
	p := make([]byte, a.Size())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.ReadAt(p, 0); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArchive(b *testing.B) {
	a, _ := testArchive(b, 64<<20, 64<<20)
	p := make([]byte, 1<<20)
	b.SetBytes(a.Size())
	for b.Loop() {
		for at := int64(0); at < a.Size(); at += int64(len(p)) {
			if _, err := a.ReadAt(p, at); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
}
