package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	smallFS  = 16 << 20 // bytes of the file system
	healTime = 2 * time.Second
)

// smallDisk mounts a file system of 16 MiB and returns the folder it is mounted on: ext4 on a loop device, since there
// fallocate, fdatasync and a full disk behave as on the disks that count; a tmpfs where there are no loop devices.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system, which needs root; run it as root or in a container")
	}
	dir := t.TempDir()
	image, mountpoint := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	if err := os.Mkdir(mountpoint, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mountImage(t, image, mountpoint); err != nil {
		t.Logf("no ext4 on a loop device here (%v); a tmpfs takes its place", err)
		if err := unix.Mount("tmpfs", mountpoint, "tmpfs", 0, fmt.Sprintf("size=%d", smallFS)); err != nil {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
	}
	t.Cleanup(func() { // after the server's own, which was registered later
		if err := unix.Unmount(mountpoint, 0); err != nil {
			t.Errorf("unmounting %s: %v", mountpoint, err)
		}
	})
	return mountpoint
}

func mountImage(t *testing.T, image, mountpoint string) error {
	t.Helper()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, smallFS); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, mountpoint},
	} {
		r := command(t, "", lookUp(t, argv[0]), argv[1:]...)
		if r.status != 0 {
			return fmt.Errorf("%s: status %d: %s", argv[0], r.status, strings.TrimSpace(r.stderr))
		}
	}
	return nil
}

// ballast makes a file that takes space on the small disk until it is removed.
func ballast(t *testing.T, disk string, size int) (remove func()) {
	t.Helper()
	name := filepath.Join(disk, fmt.Sprintf("ballast of %d bytes", size))
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes values until the server refuses one, and returns how many it has acknowledged.
func fill(t *testing.T, c *respConn, prefix, value string) int {
	t.Helper()
	for i := range 2 * smallFS / max(len(value), 100) {
		got, err := c.do("SET", fmt.Sprint(prefix, i), value)
		if err != nil {
			isAnswer(t, "a SET that finds the disk full", got, err, logFull)
			return i
		}
	}
	t.Fatalf("more was written to a file system of %d MiB than it holds, and nothing was refused", smallFS>>20)
	return 0
}

// TestFullDisk: a log file of 64 MiB on a disk of 16 MiB. Until it is full all is well; then writes are refused and not
// applied, reads and deletes go on; when there is space again, writes go on within two seconds. Nothing that was
// acknowledged is lost.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "data")
	p := start(t, "--dir", dir, "--log-file-size", "64MiB")
	c := dialResp(t, p, "always")
	heal, spare := ballast(t, disk, 4<<20), ballast(t, disk, 1<<20)
	value := strings.Repeat("v", 8<<10)
	first := fill(t, c, "first:", value)
	if least := smallFS / 4 / len(value); first < least {
		t.Errorf("the disk was full after %d values of %d bytes, want at least %d", first, len(value), least)
	}
	fill(t, c, "small:", "s") // where a large value finds no room a small one may
	refuses(t, p, logFull)
	reads(t, p, "first:0", value)
	for i := range 10 {
		if n := c.must(t, "DEL", fmt.Sprint("first:", i)); n != int64(1) {
			t.Errorf("a DEL on a full disk was answered with %v", n)
		}
	}
	if n := dialResp(t, p, "never").must(t, "DEL", "first:10"); n != int64(1) {
		t.Errorf("a DEL at never on a full disk was answered with %v", n)
	}
	if v := c.must(t, "GET", "first:10"); v != nil { // waits until that DEL is durable
		t.Errorf("a key that was deleted on a full disk is there: %v", v)
	}

	heal()
	eventually(t, healTime, "writes go on after space has come back", func() bool {
		_, err := c.do("SET", "healed", "v")
		return err == nil
	})
	second := fill(t, c, "second:", value)
	if second == 0 {
		t.Error("after the disk has got space again it has taken one write only")
	}
	p.kill(t)

	// A start opens a new file, for what comes and for the tail that it makes durable before it serves it.
	r := command(t, "", binary, "serve", "--port", "0", "--dir", dir)
	if said, err := regexp.MatchString("cannot be loaded: .*(no room|No space left)", r.stderr); r.status == 0 || !said || err != nil ||
		!strings.Contains(r.stderr, dir) {
		t.Errorf("a start on a full disk: status %d, %q; want an error that names %s and says that it is full", r.status, r.stderr, dir)
	}
	spare()
	again := start(t, "--dir", dir, "--log-file-size", "64MiB")
	after := dialResp(t, again, "always")
	present := func(key string) bool { return after.must(t, "EXISTS", key) == int64(1) }
	for i := range first {
		if got := present(fmt.Sprint("first:", i)); got != (i > 10) {
			t.Errorf("after a restart first:%d is there: %v", i, got)
		}
	}
	for i := range second {
		if !present(fmt.Sprint("second:", i)) {
			t.Errorf("after a restart second:%d is lost", i)
		}
	}
	if present("later") {
		t.Error("a write that was refused is there after a restart")
	}
}
