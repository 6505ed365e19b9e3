package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
)

// hostileNames must not become files, in the backup folder or elsewhere.
var hostileNames = []string{"", ".", "..", "../x", "../../x", "a/b", "/etc/x", "./x", "a/../x", "..\\x", ".hidden", "x.tmp", "a b", "a\x00b",
	"x\n", "ä", "~x", "$HOME", "a:b", "x/", strings.Repeat("x", 201)}

func TestBackupNames(t *testing.T) {
	for _, name := range []string{"x", "monday.snap", "2026-03-01_12", "-", "A.b", "x.tmp.old", strings.Repeat("x", 200)} {
		if err := checkBackupName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	above := t.TempDir()
	s := startLogged(t, Options{Dir: filepath.Join(above, "data")})
	c := dial(t, s)
	before := namesBelow(t, above)
	for _, name := range hostileNames {
		c.check(respError("ERR "+errBackupName.Error()), "BACKUP", name)
	}
	if after := namesBelow(t, above); !reflect.DeepEqual(before, after) {
		t.Errorf("the files were %v and are %v", before, after)
	}
	c.check(respError("ERR wrong number of arguments for 'backup' command"), "BACKUP")
}

// namesBelow lists a folder.
func namesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}

// TestBackup: the file is complete, nobody else may read it, and nothing takes its place.
func TestBackup(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	for i := range 500 {
		c.check(status("OK"), "SET", fmt.Sprint(i), strings.Repeat("v", i))
	}
	reply, ok := c.do("BACKUP", "monday").([]any)
	if !ok || len(reply) != 10 {
		t.Fatalf("BACKUP: %v", reply)
	}
	dir := filepath.Join(s.opt.Dir, "backups")
	file := filepath.Join(dir, "monday")
	info, err := engine.VerifySnapshot(file, nil)
	must(t, err)
	want := []any{"name", "monday", "bytes", int64(info.Bytes), "keys", int64(500), "lsn", int64(info.LSN), "hash", info.Hash.String()}
	if !reflect.DeepEqual(reply, want) {
		t.Errorf("BACKUP: %v, want %v", reply, want)
	}
	for name, mode := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, file: 0o600} {
		if fi, err := os.Stat(name); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v, want the mode %v", name, fi, err, mode)
		}
	}
	content, err := os.ReadFile(file)
	must(t, err)
	c.check(int64(500), append([]string{"DEL"}, keysTo(500)...)...)
	c.check(respError("ERR the backup monday was not made: "+errBackupExists.Error()), "BACKUP", "monday")
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(content, again) {
		t.Errorf("the backup has changed: %v", err)
	}
	for _, name := range namesBelow(t, dir) {
		if strings.HasSuffix(name, backupSuffix) {
			t.Errorf("%s is left", name)
		}
	}
}

func keysTo(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(i))
	}
	return keys
}

// TestBackupDir: another folder, one that cannot be made, and one that is none.
func TestBackupDir(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "elsewhere")
	s := startLogged(t, Options{BackupDir: dir})
	c := dial(t, s)
	if _, ok := c.do("BACKUP", "a").([]any); !ok {
		t.Error("no backup was made")
	}
	if names := namesBelow(t, dir); len(names) != 2 {
		t.Errorf("the backup folder has %v", names)
	}
	plain := filepath.Join(above, "file")
	must(t, os.WriteFile(plain, nil, 0o600))
	for _, bad := range []string{filepath.Join(above, "not", "there"), plain} {
		s := startLogged(t, Options{BackupDir: bad})
		c := dial(t, s)
		if e, ok := c.do("BACKUP", "a").(respError); !ok || !strings.Contains(string(e), bad) ||
			!strings.HasPrefix(string(e), "ERR the backup a was not made: ") {
			t.Errorf("a backup to %s: %v", bad, e)
		}
		c.check(status("OK"), "SET", "k", "v")
	}
}

// TestBackupStaysInside: links in the folder lead nowhere.
func TestBackupStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	victim := filepath.Join(outside, "victim")
	must(t, os.WriteFile(victim, []byte("mine"), 0o600))
	for link, target := range map[string]string{"taken": victim, "dangling": filepath.Join(outside, "new"),
		"leftover.tmp": victim, "loose.tmp": filepath.Join(outside, "new")} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	c := dial(t, startLogged(t, Options{BackupDir: dir}))
	for _, name := range []string{"taken", "dangling", "leftover", "loose"} {
		if e, ok := c.do("BACKUP", name).(respError); !ok {
			t.Errorf("a backup was made through %s: %v", name, e)
		}
	}
	if content, err := os.ReadFile(victim); err != nil || string(content) != "mine" {
		t.Errorf("the file outside is %q: %v", content, err)
	}
	if names := namesBelow(t, outside); len(names) != 2 {
		t.Errorf("outside there are now %v", names)
	}
}

// TestBackupLeftover: what a crash has left is removed, what somebody is writing is not.
func TestBackupLeftover(t *testing.T) {
	dir := t.TempDir()
	c := dial(t, startLogged(t, Options{BackupDir: dir}))
	leftover := filepath.Join(dir, "a"+backupSuffix)
	f, err := os.Create(leftover)
	must(t, err)
	defer closeFile(f)
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	c.check(respError("ERR the backup a was not made: "+errBackupBusy.Error()), "BACKUP", "a")
	if _, err := os.Stat(leftover); err != nil {
		t.Errorf("the file that is being written: %v", err)
	}
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	if _, ok := c.do("BACKUP", "a").([]any); !ok {
		t.Error("no backup was made beside a leftover")
	}
	if _, err := engine.VerifySnapshot(filepath.Join(dir, "a"), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
}

// TestBackupIsGivenUp when its context ends in the middle: neither the file nor a part of it stays.
func TestBackupIsGivenUp(t *testing.T) {
	to, err := os.Create(filepath.Join(t.TempDir(), "to"))
	must(t, err)
	defer closeFile(to)
	ctx, cancel := context.WithCancel(context.Background())
	from := &countingReader{then: cancel}
	if err := copySynced(ctx, to, from, 10*copyBytes); !errors.Is(err, context.Canceled) || from.reads != 1 {
		t.Errorf("after %d reads: %v", from.reads, err)
	}
	s := startLogged(t, Options{})
	if _, err := s.backup(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup whose context has ended: %v", err)
	}
	if names := namesBelow(t, s.opt.BackupDir); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
}

// countingReader is a file of zeros.
type countingReader struct {
	reads int
	then  func() // called by each read
}

func (r *countingReader) ReadAt(p []byte, _ int64) (int, error) {
	r.reads++
	r.then()
	clear(p)
	return len(p), nil
}

// TestCopySynced: every byte, whatever the size.
func TestCopySynced(t *testing.T) {
	for _, size := range []int{0, 1, copyBytes - 1, copyBytes, copyBytes + 1, copySyncBytes + 7} {
		want := bytes.Repeat([]byte("nitro"), size/5+1)[:size]
		name := filepath.Join(t.TempDir(), "to")
		to, err := os.Create(name)
		must(t, err)
		must(t, copySynced(context.Background(), to, bytes.NewReader(want), int64(size)))
		must(t, to.Close())
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	if err := copySynced(context.Background(), nil, bytes.NewReader(nil), 1); err == nil {
		t.Error("a file that is shorter than it should be was copied")
	}
}

// TestBackupLockOfAnother: whoever locks a file that has lost its name meanwhile has not got the one that has it now.
func TestBackupLockOfAnother(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer closeFile(root)
	create := func() *os.File {
		f, err := root.Create("x.tmp")
		must(t, err)
		return f
	}
	mine := create()
	defer closeFile(mine)
	must(t, root.Remove("x.tmp"))
	if err := lockFile(root, "x.tmp", mine); !errors.Is(err, errBackupBusy) {
		t.Errorf("a file without a name: %v, want errBackupBusy", err)
	}
	theirs := create()
	defer closeFile(theirs)
	if err := lockFile(root, "x.tmp", mine); !errors.Is(err, errBackupBusy) {
		t.Errorf("a file whose name another one has: %v, want errBackupBusy", err)
	}
	must(t, lockFile(root, "x.tmp", theirs))
}

// TestBackupIntoTheDataFolder: names like those of the store's own files would be taken for them.
func TestBackupIntoTheDataFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := openBackupDir(dir, filepath.Join(dir, ".")); err == nil {
		t.Error("the data folder was taken for backups")
	}
	root, err := openBackupDir(filepath.Join(dir, "backups"), dir)
	must(t, err)
	closeFile(root)
}
