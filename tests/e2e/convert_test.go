package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mustHoldOnly demands that a folder holds these names, so that nothing is left beside them.
func mustHoldOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// modeArgs are the options of a server in a mode; files are small where that can be said.
var modeArgs = map[string][]string{"memory": {"--mode", "memory"}, "bitcask": {"--mode", "bitcask", "--max-file-size", "1MiB"}}

// TestConvert: what a server has written in one mode, another one serves in the other mode, byte for byte and with every
// expiry; the first folder is still what it was.
func TestConvert(t *testing.T) {
	c := randomContent(randomness(t), 20_000)
	for from, to := range map[string]string{"memory": "bitcask", "bitcask": "memory"} {
		t.Run(from+" to "+to, func(t *testing.T) {
			dir := t.TempDir()
			old, made := filepath.Join(dir, "data"), filepath.Join(dir, "new")
			p := start(t, append([]string{"--dir", old, "--sync", "never"}, modeArgs[from]...)...)
			_, cl := dial(t, p)
			c.store(t, cl)
			refused := nitrokv(t, 1, "convert", "--from", old, "--mode", to, "--to", made)
			if !strings.Contains(refused.stderr, fmt.Sprint(p.cmd.Process.Pid)) || strings.Count(refused.stderr, "\n") != 1 {
				t.Errorf("beside a server: %q", refused.stderr)
			}
			p.stop(t)
			r := nitrokv(t, 0, "convert", "--from", old, "--mode", to, "--to", made)
			if !strings.HasPrefix(r.stdout, fmt.Sprintf("converted %d keys, ", len(c))) || r.stderr != "" {
				t.Errorf("%+v", r)
			}
			mustHoldOnly(t, dir, "data", "new")
			for dir, mode := range map[string]string{made: to, old: from} {
				p := start(t, append([]string{"--dir", dir}, modeArgs[mode]...)...)
				_, cl := dial(t, p)
				c.mustBeIn(t, cl)
				p.stop(t)
			}
		})
	}
}

// filledFolder fills a folder of mode bitcask with so many values of 256 KiB, and no server runs on it afterwards.
func filledFolder(t *testing.T, dir string, values int) {
	t.Helper()
	p := start(t, "--dir", dir, "--mode", "bitcask", "--max-file-size", "8MiB", "--sync", "never")
	c := dialResp(t, p, "")
	for i := range values {
		c.must(t, "SET", fmt.Sprint("k", i), strings.Repeat(fmt.Sprintf("%07d.", i), 256<<10/8))
	}
	p.stop(t)
}

// conversion begins one, which ends with the test at the latest.
func conversion(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	t.Cleanup(cancel)
	stderr = &bytes.Buffer{}
	cmd = exec.CommandContext(ctx, binary, append([]string{"convert"}, args...)...)
	cmd.Env, cmd.Stderr = environ(), stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

// convertMemory is what a conversion of any size may take in mode bitcask, where only keys are in memory. Its runtime, the
// rings of two logs and a batch are in it.
const convertMemory = 96 << 20

// peakMemory is the most that a process has had resident so far, in bytes; 0 if it has ended. (What a process leaves to its parent when
// it ends, ru_maxrss, is no less than what this one had when it started it.)
func peakMemory(t *testing.T, pid int) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(text), "VmHWM:")
	var kib uint64
	if _, err := fmt.Sscan(line, &kib); found && err != nil {
		t.Fatalf("VmHWM of %d: %v", pid, err)
	}
	return kib << 10
}

// TestConvertInterrupted: SIGINT in the middle leaves nothing of the new folder, and the old one as it was; and a conversion
// that is left alone takes little memory, whatever the values are.
func TestConvertInterrupted(t *testing.T) {
	const values = 800
	dir := t.TempDir()
	old, made := filepath.Join(dir, "data"), filepath.Join(dir, "new")
	filledFolder(t, old, values)
	args := []string{"--from", old, "--mode", "bitcask", "--to", made}
	cmd, stderr := conversion(t, args...)
	eventually(t, callLimit, "some of it is written", func() bool {
		logs, err := filepath.Glob(filepath.Join(dir, ".new.converting-*", "store", "*.log"))
		return err == nil && len(logs) > 0 && diskUse(t, filepath.Dir(logs[0])) > 8<<20
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the status is looked at
	if status := cmd.ProcessState.ExitCode(); status != 1 || stderr.String() != "nitrokv: convert: not converted: interrupted; nothing was made\n" {
		t.Errorf("after SIGINT: status %d, %q", status, stderr.String())
	}
	mustHoldOnly(t, dir, "data")

	cmd, stderr = conversion(t, args...)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var most uint64
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			running = false
		case <-time.After(time.Millisecond):
			most = max(most, peakMemory(t, cmd.Process.Pid))
		}
	}
	if most == 0 {
		t.Fatal("it ended before its memory could be looked at")
	}
	t.Logf("%d MiB of values, %d MiB of memory", values/4, most>>20)
	if most > convertMemory {
		t.Errorf("%d values of 256 KiB take %d bytes of memory, want %d at most", values, most, convertMemory)
	}
}

// TestConvertDamaged: a value that can't be read ends it, with the name of the key.
func TestConvertDamaged(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "data")
	p := startBitcask(t, old)
	c := dialResp(t, p, "")
	c.must(t, "MSET", "good", bulky("good"), "bad", bulky("bad"))
	p.stop(t)
	spoil(t, old, "bad")
	r := nitrokv(t, 1, "convert", "--from", old, "--mode", "memory", "--to", filepath.Join(dir, "new"))
	if !strings.Contains(r.stderr, `the record of key "bad"`) || !strings.HasSuffix(r.stderr, "; nothing was made\n") {
		t.Errorf("%q", r.stderr)
	}
	mustHoldOnly(t, dir, "data")
}
