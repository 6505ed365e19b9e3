package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/proto"
)

// store is a Store of a few keys.
type store struct {
	keys  []string
	items map[string]client.Item
	get   func(key string) error // called before an item is returned, by many goroutines at once
	scan  error                  // ends the scan
	count error
}

func (s *store) Count(context.Context) (int64, error) { return int64(len(s.items)), s.count }

func (s *store) Scan(ctx context.Context, o client.ScanOptions) iter.Seq2[client.Entry, error] {
	return func(yield func(client.Entry, error) bool) {
		for _, key := range s.keys {
			if ctx.Err() != nil {
				yield(client.Entry{}, ctx.Err())
				return
			}
			if !yield(client.Entry{Key: key, Size: len(s.items[key].Value)}, nil) {
				return
			}
		}
		if s.scan != nil {
			yield(client.Entry{}, s.scan)
		}
	}
}

func (s *store) GetItem(ctx context.Context, key string) (client.Item, error) {
	if s.get != nil {
		if err := s.get(key); err != nil {
			return client.Item{}, err
		}
	}
	item, ok := s.items[key]
	if !ok {
		return item, &client.Error{Op: "GETX", Key: key, Status: proto.ENOTFOUND}
	}
	return item, nil
}

func TestDump(t *testing.T) {
	s := &store{
		keys: []string{"a", "gone", "b", "a"},
		items: map[string]client.Item{
			"a": {Value: []byte("1"), Expires: at(1896091200250)},
			"b": {Value: []byte("\x00")},
		},
	}
	var out bytes.Buffer
	d := NewDump(s, &out, time.Minute, nobody)
	totals, err := d.Run(t.Context())
	if want := (DumpTotals{Keys: 3, Bytes: 6, Gone: 1}); err != nil || totals != want {
		t.Errorf("%+v, %v; want %+v", totals, err, want)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	slices.Sort(lines)
	a := `{"key":"a","value":"1","expires_at":"2030-01-31T12:00:00.250Z"}` + "\n"
	if want := []string{"", a, a, `{"key":"b","value_base64":"AA=="}` + "\n"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	if done, total := d.Progress(); done != 3 || total != 3 {
		t.Errorf("progress %d of %d", done, total)
	}
}

// nobody is told about damaged keys.
func nobody(string) {}

// A value that can't be read is left out, named and counted; the others are written.
func TestDumpGoesOnAfterDamage(t *testing.T) {
	for _, status := range []proto.Status{proto.ECORRUPT, proto.EIO} {
		t.Run(status.String(), func(t *testing.T) { testDumpGoesOn(t, status) })
	}
}

func testDumpGoesOn(t *testing.T, status proto.Status) {
	s := &store{keys: []string{"a", "bad", "b"}, items: map[string]client.Item{"a": {Value: []byte("1")}, "bad": {}, "b": {Value: []byte("2")}}}
	s.get = func(key string) error {
		if key == "bad" {
			return &client.Error{Op: "GETX", Key: key, Status: status}
		}
		return nil
	}
	var out bytes.Buffer
	var told []string // by one goroutine: there is one such key
	totals, err := NewDump(s, &out, time.Minute, func(key string) { told = append(told, key) }).Run(t.Context())
	if want := (DumpTotals{Keys: 2, Bytes: 4, Damaged: 1}); err != nil || totals != want {
		t.Errorf("%+v, %v; want %+v", totals, err, want)
	}
	if !slices.Equal(told, []string{"bad"}) || strings.Count(out.String(), "\n") != 2 || strings.Contains(out.String(), "bad") {
		t.Errorf("told %q, wrote %q", told, &out)
	}
}

// A failure of any request ends the dump and is told; so is a writer that takes no more.
func TestDumpFails(t *testing.T) {
	broken := errors.New("it has broken")
	many := &store{items: make(map[string]client.Item)}
	for i := range 5000 {
		key := fmt.Sprint("key", i)
		many.keys = append(many.keys, key)
		many.items[key] = client.Item{Value: make([]byte, 100)}
	}
	for name, spoil := range map[string]func(s *store) io.Writer{
		"count": func(s *store) io.Writer { s.count = broken; return io.Discard },
		"scan":  func(s *store) io.Writer { s.scan = broken; return io.Discard },
		"get": func(s *store) io.Writer {
			s.get = func(key string) error {
				if key == "key4000" {
					return broken
				}
				return nil
			}
			return io.Discard
		},
		"write": func(s *store) io.Writer { return writer(func([]byte) (int, error) { return 0, broken }) },
	} {
		s := *many
		w := spoil(&s)
		if totals, err := NewDump(&s, w, time.Minute, nobody).Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s: %+v, %v; want %v", name, totals, err, broken)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// An interruption is told as such, whatever it made fail first.
func TestDumpInterrupted(t *testing.T) {
	why := errors.New("that is enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var n atomic.Int64
	s := &store{get: func(string) error {
		if n.Add(1) == 50 {
			cancel(why)
		}
		return nil
	}}
	for i := range 100_000 {
		s.keys = append(s.keys, fmt.Sprint("key", i))
	}
	totals, err := NewDump(s, io.Discard, time.Minute, nobody).Run(ctx)
	if !errors.Is(err, why) || totals.Gone == 100_000 {
		t.Errorf("%+v, %v", totals, err)
	}
}

// under returns the names in a folder.
func under(t *testing.T, folder string) []string {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// Under the name stands the old file until the new one is whole, and nothing is left beside it.
func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "dump")
	put := func(text string, failure error) error {
		standing, err := Replace(path, func(w io.Writer) error {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			if old, err := os.ReadFile(path); err == nil && string(old) != "one" {
				t.Errorf("%q stands there before the end", old)
			}
			return failure
		})
		if want := map[bool]Standing{true: New, false: Old}[failure == nil]; standing != want {
			t.Errorf("%q: %d stands there, want %d", text, standing, want)
		}
		return err
	}
	if err := put("one", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("it has broken")
	if err := put("two", broken); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one" {
		t.Errorf("after a failure there is %q, %v", got, err)
	}
	if err := put("three", nil); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "three" || !slices.Equal(under(t, folder), []string{"dump"}) {
		t.Errorf("%q, %v, in the folder %q", got, err, under(t, folder))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; nobody else should read it", info.Mode(), err)
	}
}

// A link stays one, a pipe is written to, and a folder is refused.
func TestReplaceOfOtherThings(t *testing.T) {
	folder := t.TempDir()
	real, link := filepath.Join(folder, "real"), filepath.Join(folder, "link")
	if err := errors.Join(os.WriteFile(real, []byte("old"), 0o600), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}
	if standing, err := Replace(link, write); err != nil || standing != New {
		t.Error(standing, err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "new" || !slices.Equal(under(t, folder), []string{"link", "real"}) {
		t.Errorf("%q, %v, in the folder %q", got, err, under(t, folder))
	}
	if target, err := os.Readlink(link); err != nil || target != "real" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	pipe := filepath.Join(folder, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got := make([]byte, 3)
	if standing, err := Replace(pipe, write); err != nil || standing != InPlace {
		t.Error(standing, err)
	} else if _, err := io.ReadFull(reader, got); err != nil || string(got) != "new" {
		t.Errorf("%q came through the pipe, %v", got, err)
	}
	if standing, err := Replace(pipe, func(io.Writer) error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) || standing != InPlace {
		t.Error(standing, err)
	}
	if standing, err := Replace(folder, write); err == nil || standing != Old {
		t.Error("a folder was replaced:", standing)
	}
	if _, err := Replace(filepath.Join(folder, "none", "dump"), write); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("in a folder that is missing: %v", err)
	}
}

// When the new name can't be made durable, the new file stands there all the same, and that is told.
func TestReplaceNotDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump")
	broken := errors.New("the disk is gone")
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}
	standing, err := replace(path, write, func(string) error { return broken })
	if standing != New || !errors.Is(err, broken) || !strings.Contains(err.Error(), "make the new name durable") {
		t.Errorf("%d, %v", standing, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}
