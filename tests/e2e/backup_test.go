package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// namesBelow lists a folder, all that is in it included.
func namesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the server may have removed one meanwhile
		t.Fatal(err)
	}
	return names
}

// TestBackupNames: BACKUP makes no file outside of its folder, whatever the name, and none in it under a bad one.
func TestBackupNames(t *testing.T) {
	above := t.TempDir()
	backups := filepath.Join(above, "backups")
	p := start(t, "--dir", filepath.Join(above, "data"), "--backup-dir", backups)
	c := dialResp(t, p, "")
	c.must(t, "SET", "k", "v")
	c.must(t, "BACKUP", "good")
	before := namesBelow(t, above)
	for _, name := range []string{"../evil", "..", ".", "", "/tmp/evil", "a/../../evil", "good/evil", "../data/MANIFEST", ".evil", "evil.tmp",
		"evil\x00", "evil\n", "e vil", "%2e%2e%2fevil", "..\\evil", strings.Repeat("e", 300)} {
		if _, err := c.do("BACKUP", name); !isReply(err) || !strings.HasPrefix(err.Error(), "ERR a backup's name has ") {
			t.Errorf("BACKUP %q was answered with %v", name, err)
		}
	}
	if _, err := c.do("BACKUP", "good"); !isReply(err) || !strings.Contains(err.Error(), "there is a backup of that name") {
		t.Errorf("BACKUP under a name that is taken was answered with %v", err)
	}
	if after := namesBelow(t, above); !slices.Equal(before, after) {
		t.Errorf("there were %v and are %v", before, after)
	}
}

// TestBackup: backups are made while clients write. Each is sound, and what was acknowledged before it was asked for is in
// the folder that is made of it; a kill during one leaves none that is not whole.
func TestBackup(t *testing.T) {
	rng := randomness(t)
	dir, backups := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backups")
	p := start(t, "--dir", dir, "--backup-dir", backups)
	c := dialResp(t, p, "")
	const keys = 2000
	for i := range keys {
		c.must(t, "SET", fmt.Sprint("before:", i), fmt.Sprint(i))
	}
	crowd, made := newCrowd(), make(chan []string, 1)
	go func() { made <- backUpUntilEnd(t, c) }()
	crowd.work(t, p, rng, true, longestRun)
	crowd.report(t)
	names := <-made
	if len(names) == 0 { // the kill came too early
		c = dialResp(t, start(t, "--dir", dir, "--backup-dir", backups), "")
		c.must(t, "BACKUP", "last")
		names = append(names, "last")
	}
	for _, name := range namesBelow(t, backups)[1:] {
		if strings.HasSuffix(name, ".tmp") {
			continue
		}
		if r := command(t, "", binary, "backup", "verify", name); r.status != 0 {
			t.Errorf("%s is not sound: %s%s", name, r.stdout, r.stderr)
		}
	}
	for _, name := range []string{names[0], names[len(names)-1]} {
		restored := filepath.Join(t.TempDir(), "restored")
		if r := command(t, "", binary, "restore", filepath.Join(backups, name), "--dir", restored); r.status != 0 {
			t.Fatalf("restore %s: status %d: %s", name, r.status, r.stderr)
		}
		after := dialResp(t, start(t, "--dir", restored), "")
		for i := range keys {
			if v := after.must(t, "GET", fmt.Sprint("before:", i)); v != fmt.Sprint(i) {
				t.Fatalf("%s: before:%d is %v", name, i, v)
			}
		}
	}
}

// backUpUntilEnd makes backups until the server is gone, and returns their names.
func backUpUntilEnd(t *testing.T, c *respConn) (names []string) {
	for i := 0; ; i++ {
		name := fmt.Sprint("backup-", i)
		if _, err := c.do("BACKUP", name); err != nil {
			if isReply(err) {
				t.Errorf("BACKUP %s was answered with %v", name, err)
			}
			return names
		}
		names = append(names, name)
	}
}

// TestSnapshotReadWhileReplaced: what a client reads is the snapshot that was taken for it, although the store, the log and
// the newest snapshot are others meanwhile.
func TestSnapshotReadWhileReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--snapshot-compression", "none", "--log-file-size", "1MiB")
	c, other := dialResp(t, p, ""), dialResp(t, p, "")
	const keys = 300
	for i := range keys {
		c.must(t, "SET", fmt.Sprint("key:", i), strings.Repeat(fmt.Sprint(i, " "), 2000))
	}
	opened, ok := c.must(t, "SNAPSHOT", "OPEN").([]any)
	if !ok || len(opened) != 6 {
		t.Fatalf("SNAPSHOT OPEN was answered with %v", opened)
	}
	handle, size := fmt.Sprint(opened[0]), opened[1].(int64)
	var content []byte
	for i := 0; int64(len(content)) < size; i++ {
		other.must(t, "FLUSHALL")
		other.must(t, "SET", "other", fmt.Sprint(i))
		other.must(t, "SAVE")
		part, _ := c.must(t, "SNAPSHOT", "READ", handle, strconv.Itoa(len(content)), "500000").(string)
		if part == "" {
			t.Fatalf("the snapshot ends at byte %d of %d", len(content), size)
		}
		content = append(content, part...)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.snap"))
	folders, err2 := filepath.Glob(filepath.Join(dir, "snapshot-*")) // of mode bitcask
	if snapshots := append(files, folders...); len(snapshots) != 1 || err != nil || err2 != nil {
		t.Errorf("there is more than the newest snapshot, %v, or %v, %v", snapshots, err, err2)
	}
	c.must(t, "SNAPSHOT", "CLOSE", handle)
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "", binary, "backup", "verify", file)
	if r.status != 0 || !strings.Contains(r.stdout, opened[5].(string)) {
		t.Errorf("what was read is not sound, or has another hash than %v: status %d, %s%s", opened[5], r.status, r.stdout, r.stderr)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if r := command(t, "", binary, "restore", file, "--dir", restored); r.status != 0 {
		t.Fatalf("restore: status %d: %s", r.status, r.stderr)
	}
	after := dialResp(t, start(t, "--dir", restored), "")
	if n := after.must(t, "DBSIZE"); n != int64(keys) {
		t.Errorf("%v keys were restored of %d", n, keys)
	}
	for i := range keys {
		if v := after.must(t, "GET", fmt.Sprint("key:", i)); v != strings.Repeat(fmt.Sprint(i, " "), 2000) {
			t.Fatalf("key:%d is %.40q", i, v)
		}
	}
}
