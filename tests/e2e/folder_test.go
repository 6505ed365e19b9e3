package e2e

import (
	"crypto/sha256"
	le "encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A snapshot is every name below a folder with mode, time and contents.
type snapshot map[string]string

func look(t *testing.T, dir string) snapshot {
	t.Helper()
	s := snapshot{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprint(info.Mode())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %v %x", info.ModTime(), sha256.Sum256(b))
		}
		s[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unchanged demands that a folder is as it was. LOCK is excepted where its owner has ended: who comes next may write its
// own name there before it looks at the data.
func (s snapshot) unchanged(t *testing.T, dir string, exceptLock bool) {
	t.Helper()
	now := look(t, dir)
	if exceptLock {
		delete(s, filepath.Join(dir, "LOCK"))
		delete(now, filepath.Join(dir, "LOCK"))
	}
	for name, was := range s {
		if now[name] != was {
			t.Errorf("%s was changed: %q, before %q", name, now[name], was)
		}
	}
	for name := range now {
		if _, ok := s[name]; !ok {
			t.Errorf("%s has appeared", name)
		}
	}
}

// logFiles returns the names of a folder's log files in order.
func logFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("the log files of %s: %q, %v", dir, names, err)
	}
	slices.Sort(names)
	return names
}

// edit changes a file in place.
func edit(t *testing.T, path string, change func(b []byte)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// seal writes the CRC-32C of b[:end] behind it, as every header of a data folder has it.
func seal(b []byte, end int) {
	le.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)))
}

// stopped makes a folder with some data whose server has ended: cleanly, or killed.
func stopped(t *testing.T, clean bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir)
	c := dialResp(t, p, "always")
	for i := range 100 {
		c.must(t, "SET", fmt.Sprint("k", i), "v")
	}
	if clean {
		p.stop(t)
	} else {
		p.kill(t)
	}
	return dir
}

// refused demands that no server starts on a folder, that the error has the words, and that nothing is changed.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	before := look(t, dir)
	r := command(t, "", binary, "serve", "--port", "0", "--dir", dir)
	if r.status == 0 {
		t.Errorf("the server ended with status 0")
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("the error does not say %q: %s", w, r.stderr)
		}
	}
	before.unchanged(t, dir, true)
}

// TestFolderModes: nobody but the owner can read the data.
func TestFolderModes(t *testing.T) {
	dir := stopped(t, false)
	for name, text := range look(t, dir) {
		want := "-rw-------"
		if name == dir {
			want = "drwx------"
		}
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s has the mode %.10s, want %s", name, text, want)
		}
	}
}

// TestRefusedFolders: a folder that this version can't read, or that isn't whole, is refused by name.
func TestRefusedFolders(t *testing.T) {
	newer := le.LittleEndian.AppendUint32(nil, 7)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		words []string
	}{
		{"another mode", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "MANIFEST"), func(b []byte) { b[12] = 3; seal(b, 60) })
		}, []string{"lsm", "newer nitrokv"}},
		{"a newer MANIFEST", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "MANIFEST"), func(b []byte) { copy(b[8:], newer); seal(b, 60) })
		}, []string{"MANIFEST", "7", "1"}},
		{"a newer CONTROL", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "CONTROL"), func(b []byte) {
				for slot := b; len(slot) >= 512; slot = slot[512:] {
					copy(slot[8:], newer)
					seal(slot, 508)
				}
			})
		}, []string{"CONTROL", "7", "1"}},
		{"a newer log file", func(t *testing.T, dir string) {
			edit(t, logFiles(t, dir)[0], func(b []byte) { copy(b[8:], newer); seal(b, 508) })
		}, []string{".log", "7", "1"}},
		{"a missing log file", func(t *testing.T, dir string) { remove(t, logFiles(t, dir)[0]) }, []string{".log"}},
		{"no MANIFEST", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "MANIFEST")) }, []string{"MANIFEST"}},
		{"no CONTROL", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "CONTROL")) }, []string{"CONTROL"}},
		{"an empty CONTROL", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "CONTROL"), func(b []byte) { clear(b) })
		}, []string{"CONTROL"}},
		{"a flipped bit in a record", func(t *testing.T, dir string) {
			edit(t, logFiles(t, dir)[0], func(b []byte) { b[512+56+8] ^= 4 })
		}, []string{".log", "nitrokv check"}},
	} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, clean stop %v", c.name, clean), func(t *testing.T) {
				t.Parallel()
				dir := stopped(t, clean)
				c.spoil(t, dir)
				refused(t, dir, append(c.words, dir)...)
			})
		}
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadableFolder: a folder that may not be read is named, and so is a file in its place.
func TestUnreadableFolder(t *testing.T) {
	dir := stopped(t, true)
	before := look(t, dir)
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	argv := []string{binary, "serve", "--port", "0", "--dir", dir}
	if os.Geteuid() == 0 { // root reads everything unless it is told not to
		argv = append([]string{lookUp(t, "setpriv"), "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"}, argv...)
	}
	r := command(t, "", argv[0], argv[1:]...)
	if r.status == 0 || !strings.Contains(r.stderr, dir) || !strings.Contains(r.stderr, "ermission denied") {
		t.Errorf("status %d, %q; want an error that names %s and says permission denied", r.status, r.stderr, dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	before.unchanged(t, dir, true)

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = command(t, "", binary, "serve", "--port", "0", "--dir", file)
	if r.status == 0 || !strings.Contains(r.stderr, file) {
		t.Errorf("a file as the folder: status %d, %q; want an error that names it", r.status, r.stderr)
	}
}

// TestSegmentsMayDiffer: nothing on disk depends on the number of segments or on the hash's seed, which is drawn anew at
// every start.
func TestSegmentsMayDiffer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const keys = 2000
	for i, segments := range []string{"256", "1", "4096", "16"} {
		p := start(t, "--dir", dir, "--segments", segments)
		c := dialResp(t, p, "never")
		for k := range keys * min(i, 1) {
			if v := c.must(t, "GET", fmt.Sprint("k", k)); v != fmt.Sprint(k+i-1) {
				t.Fatalf("k%d is %v with %s segments", k, v, segments)
			}
		}
		if n := c.must(t, "DBSIZE"); n != int64(keys*min(i, 1)) {
			t.Errorf("%v keys with %s segments", n, segments)
		}
		for k := range keys {
			c.must(t, "SET", fmt.Sprint("k", k), fmt.Sprint(k+i))
		}
		if i%2 == 0 {
			p.stop(t)
		} else {
			p.kill(t)
		}
	}
}
