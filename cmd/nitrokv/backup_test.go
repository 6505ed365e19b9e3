package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/server"
)

// backedUp is a backup of a server with five keys, one of which expires.
func backedUp(t *testing.T) (file, addr string) {
	t.Helper()
	addr = startServerWith(t, server.Options{Dir: filepath.Join(t.TempDir(), "data"), Segments: 4})
	for i := range 5 {
		args := []string{"put", fmt.Sprint("key", i), strings.Repeat(fmt.Sprint(i), 1000), "--addr", addr}
		if i == 4 {
			args = append(args, "--ttl", "1h")
		}
		if r := call("", nil, args...); r.status != 0 {
			t.Fatalf("put: %+v", r)
		}
	}
	file = filepath.Join(t.TempDir(), "my backup")
	r := call("", nil, "backup", file, "--addr", addr)
	if r.status != 0 || r.stderr != "" || strings.Count(r.stdout, "\n") != 1 || !strings.Contains(r.stdout, "5 keys") ||
		!strings.Contains(r.stdout, "read back and verified") {
		t.Fatalf("backup: %+v", r)
	}
	return file, addr
}

// mustHoldKeys demands that a folder holds what backedUp has put.
func mustHoldKeys(t *testing.T, dir string) {
	t.Helper()
	for i := range 5 {
		if r := call("", nil, "get", fmt.Sprint("key", i), "--dir", dir); r.status != 0 || r.stdout != strings.Repeat(fmt.Sprint(i), 1000) {
			t.Errorf("key%d: %+v", i, r)
		}
	}
	if r := call("", nil, "ttl", "key4", "--dir", dir); r.status != 0 || r.stdout == "none\n" {
		t.Errorf("ttl: %+v", r)
	}
	if r := call("", nil, "check", dir); r.status != 0 || !strings.Contains(r.stdout, "1 snapshot") {
		t.Errorf("check: %+v", r)
	}
}

// A backup is verified, restored, and holds the same keys; a file in its place is replaced only if that is said.
func TestBackupVerifyRestore(t *testing.T) {
	file, addr := backedUp(t)
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", st, err)
	}
	r := call("", nil, "backup", "verify", file)
	if r.status != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, file+": whole; 5 keys") {
		t.Errorf("verify: %+v", r)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	r = call("", nil, "restore", file, "--dir", dir)
	if r.status != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, "restored 5 keys to "+dir+": LSN ") ||
		!strings.Contains(r.stdout, "nitrokv serve --dir "+dir) {
		t.Errorf("restore: %+v", r)
	}
	mustHoldKeys(t, dir)
	mustBeError(t, call("", nil, "restore", file, "--dir", dir), dir) // there is a store now
	mustHoldKeys(t, dir)

	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mustBeError(t, call("", nil, "backup", file, "--addr", addr), "--force")
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the file has changed: %v", err)
	}
	if r := call("", nil, "backup", file, "--force", "--no-verify", "--addr", addr); r.status != 0 || !strings.Contains(r.stdout, "not verified") {
		t.Errorf("again: %+v", r)
	}
	mustBeAlone(t, file)
}

// mustBeAlone demands that nothing else lies beside a file.
func mustBeAlone(t *testing.T, file string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(names) != 1 {
		t.Errorf("beside %s: %v, %v", file, names, err)
	}
}

// What goes to stdout is the same file.
func TestBackupToStdout(t *testing.T) {
	file, addr := backedUp(t)
	r := call("", nil, "backup", "-", "--addr", addr)
	if r.status != 0 || !strings.Contains(r.stderr, "5 keys") || !strings.Contains(r.stderr, "nitrokv backup verify FILE") {
		t.Fatalf("status %d, %q", r.status, r.stderr)
	}
	if err := os.WriteFile(file, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := call("", nil, "backup", "verify", file); r.status != 0 {
		t.Errorf("verify: %+v", r)
	}
}

// Any byte that is flipped, and any that is missing, ends a verification with status 1, file and offset; and a restore makes
// no store of it.
func TestDamagedBackup(t *testing.T) {
	file, _ := backedUp(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spoil := map[string]func() []byte{
		"cut":   func() []byte { return good[:len(good)-512] },
		"empty": func() []byte { return nil },
	}
	for i := range 16 {
		at := i * (len(good) - 1) / 15
		spoil[fmt.Sprintf("byte %d of %d", at, len(good))] = func() []byte {
			b := bytes.Clone(good)
			b[at] ^= 0x10
			return b
		}
	}
	for name, bad := range spoil {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, bad(), 0o600); err != nil {
				t.Fatal(err)
			}
			r := call("", nil, "backup", "verify", file)
			if r.status != exitDamaged || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, file) ||
				!strings.Contains(r.stderr, "offset ") {
				t.Errorf("verify: %+v", r)
			}
			dir := filepath.Join(t.TempDir(), "restored")
			if r := call("", nil, "restore", file, "--dir", dir); r.status != exitDamaged || !strings.Contains(r.stderr, file) {
				t.Errorf("restore: %+v", r)
			}
			mustBeError(t, call("", nil, "get", "key0", "--dir", dir), "no store")
		})
	}
}

func TestBackupErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	empty := startServer(t) // has no folder
	for want, args := range map[string][]string{
		"needs one file, got 0":             {"backup"},
		"needs one file, got 2":             {"backup", "a", "b"},
		"needs one file, got 3":             {"backup", "verify", "a", "b", "c"},
		dir + " is a folder":                {"backup", dir, "--addr", empty},
		"--dir":                             {"backup", file, "--addr", empty},
		"no server answers at 127.0.0.1:1 ": {"backup", file, "--addr", "127.0.0.1:1"},
		"no such file":                      {"backup", "verify", file},
		"unknown option --forced (did":      {"backup", file, "--forced"},
	} {
		if want == "no such file" {
			if r := call("", nil, args...); r.status != exitError || !strings.Contains(r.stderr, file) {
				t.Errorf("%q: %+v", args, r)
			}
			continue
		}
		mustBeError(t, call("", nil, args...), want)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// A server with a password is asked with it, and the error without it says how.
func TestBackupWithPassword(t *testing.T) {
	addr := startServerWith(t, server.Options{Dir: filepath.Join(t.TempDir(), "data"), Segments: 4, Password: "s3cret"})
	file := filepath.Join(t.TempDir(), "file")
	mustBeError(t, call("", nil, "backup", file, "--addr", addr), "--password-file")
	if r := call("", []string{"NITROKV_PASSWORD=s3cret"}, "backup", file, "--addr", addr); r.status != 0 || !strings.Contains(r.stdout, "0 keys") {
		t.Errorf("%+v", r)
	}
}

// A full disk is named, and leaves no file.
func TestBackupToAFullDisk(t *testing.T) {
	_, addr := backedUp(t)
	var errs bytes.Buffer
	if status := run([]string{"backup", "-", "--addr", addr}, terminal{nil, fullDisk{}, &errs, nil}); status != exitError ||
		!strings.Contains(errs.String(), "no space left") || !strings.Contains(errs.String(), "no backup") {
		t.Errorf("status %d, %q", status, errs.String())
	}
}

// A signal ends a backup, and no file is left.
func TestInterruptedBackup(t *testing.T) {
	addr, got := silentServer(t)
	dir := t.TempDir()
	c := programCommand("backup", filepath.Join(dir, "file"), "--addr", addr)
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // fails if it has ended, as it should have
	select {
	case <-got:
	case <-time.After(patience):
		t.Fatal("nothing is asked")
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the status is looked at below
	if status := c.ProcessState.ExitCode(); status != exitError || !strings.Contains(errs.String(), "interrupted; no file was made") {
		t.Errorf("status %d, %q", status, errs.String())
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}
