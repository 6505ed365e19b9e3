package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A tamper is an strace that is attached to a server and delays its system calls or makes them fail.
type tamper struct {
	cmd    *exec.Cmd
	trace  string        // file with the calls that were traced
	ended  chan struct{} // closed when strace has ended
	ready  chan struct{} // closed when it has attached
	mu     sync.Mutex    // guards stderr
	stderr bytes.Buffer
}

// tamper attaches to the server. The calls are what strace's -e trace= takes, an injection what its -e inject= does. Where
// strace can't attach, these tests can't tell whether the server is right, so they fail.
func (p *process) tamper(t *testing.T, calls string, injections ...string) *tamper {
	t.Helper()
	tr := &tamper{trace: filepath.Join(t.TempDir(), "trace"), ended: make(chan struct{}), ready: make(chan struct{})}
	args := []string{"-f", "-ttt", "-T", "-p", fmt.Sprint(p.cmd.Process.Pid), "-o", tr.trace, "-e", "trace=" + calls}
	for _, i := range injections {
		args = append(args, "-e", "inject="+i)
	}
	tr.cmd = exec.Command(lookUp(t, "strace"), args...)
	stderr, err := tr.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatalf("starting strace: %v", err)
	}
	go func() { // ends with strace
		tr.follow(stderr)
		_ = tr.cmd.Wait() // how it ended doesn't matter: what it wrote is judged
		close(tr.ended)
	}()
	t.Cleanup(func() { tr.detach(t) })
	select {
	case <-tr.ready:
	case <-tr.ended:
		t.Fatalf("strace can't attach to the server; this test needs ptrace (root, or CAP_SYS_PTRACE in a container): %s",
			tr.said())
	case <-time.After(startLimit):
		t.Fatalf("strace has not attached within %v: %s", startLimit, tr.said())
	}
	return tr
}

// follow keeps what strace says and waits for its word that it has attached to all threads.
func (tr *tamper) follow(r io.Reader) {
	attached := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		tr.mu.Lock()
		fmt.Fprintln(&tr.stderr, lines.Text())
		tr.mu.Unlock()
		if strings.Contains(lines.Text(), "attached") && !attached {
			attached = true
			close(tr.ready)
		}
	}
}

func (tr *tamper) said() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.stderr.String()
}

// detach lets the server go on unharmed. It may be called twice.
func (tr *tamper) detach(t *testing.T) {
	t.Helper()
	_ = tr.cmd.Process.Signal(syscall.SIGINT) // an error means that it has ended, which the next line waits for
	select {
	case <-tr.ended:
	case <-time.After(stopLimit):
		_ = tr.cmd.Process.Kill()
		t.Errorf("strace has not ended within %v", stopLimit)
	}
}

// hits returns how many calls strace has tampered with; without any, a test has shown nothing.
func (tr *tamper) hits(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(tr.trace)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "(DELAYED)") + strings.Count(string(text), "(INJECTED)")
}
