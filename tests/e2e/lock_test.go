package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSecondProcess: a folder has one server. Another one ends at once, says which process has the folder, and doesn't
// touch a byte, LOCK included. The end of the first one, however it comes, frees the folder.
func TestSecondProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir)
	before := control(t, dir)
	c := dialResp(t, p, "always")
	c.must(t, "SET", "k", "v")
	noted(t, dir, before)

	was := look(t, dir)
	began := time.Now()
	r := command(t, "", binary, "serve", "--port", "0", "--dir", dir)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the second server took %v to end", took)
	}
	pid := fmt.Sprint(p.cmd.Process.Pid)
	if r.status == 0 || !strings.Contains(r.stderr, pid) || !strings.Contains(r.stderr, dir) {
		t.Errorf("the second server ended with status %d and said %q; want the pid %s and %s", r.status, r.stderr, pid, dir)
	}
	was.unchanged(t, dir, false)
	if v := c.must(t, "GET", "k"); v != "v" {
		t.Errorf("the first server answers %v", v)
	}
	p.kill(t)
	if v := dialResp(t, start(t, "--dir", dir), "always").must(t, "GET", "k"); v != "v" {
		t.Errorf("the next server answers %v", v)
	}
}
