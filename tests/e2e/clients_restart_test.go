package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A waitingClient is a program in the middle of its scenario "restart".
type waitingClient struct {
	clientProgram
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// await runs a program until it waits for the restart.
func (c clientProgram) await(t *testing.T, addr string) *waitingClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	t.Cleanup(cancel)
	w := &waitingClient{clientProgram: c, cmd: c.command(ctx, addr, "", "restart")}
	w.cmd.Stderr = &w.stderr
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.name(), err)
	}
	w.stdout = bufio.NewReader(stdout)
	if line, err := w.stdout.ReadString('\n'); err != nil || line != "waiting restart\n" {
		cancel()
		_ = w.cmd.Wait() // it has failed already; what it said is what counts
		t.Fatalf("%s does not wait for a restart: %q, %v\n%s", c.name(), line, err, w.stderr.String())
	}
	return w
}

// goOn tells the program that the server is there again, and takes its verdict.
func (w *waitingClient) goOn(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(w.stdin, "restarted\n")
	if err != nil {
		t.Errorf("telling %s about the restart: %v", w.name(), err)
	}
	said, err := io.ReadAll(w.stdout)
	if err != nil {
		t.Errorf("reading what %s says: %v", w.name(), err)
	}
	err = w.cmd.Wait()
	judge(t, string(said), []string{"restart"})
	if err != nil {
		t.Errorf("%s ended with %v\n%s", w.name(), err, w.stderr.String())
	}
}

// introduced demands that the server knows a connection by what its client has said at connecting: HELLO, CLIENT SETNAME and
// CLIENT SETINFO.
func (w *waitingClient) introduced(t *testing.T, list string) {
	t.Helper()
	want := regexp.MustCompile(fmt.Sprintf(` name=%s .* resp=%d lib-name=%s\S* lib-ver=\d`, w.name(), w.protocol, w.lib))
	if !want.MatchString(list) {
		t.Errorf("CLIENT LIST has no line for %s like %q:\n%s", w.name(), want, list)
	}
}

// clientsSurviveRestart: the server is killed and started again on the same port; clients come back by themselves and find
// what they have written.
func clientsSurviveRestart(t *testing.T, programs []clientProgram) {
	args := []string{"--dir", filepath.Join(t.TempDir(), "data"), "--port", quietPort(t)}
	p := start(t, args...)
	var waiting []*waitingClient
	for _, c := range programs {
		waiting = append(waiting, c.await(t, p.addr))
	}
	list := fmt.Sprint(dialResp(t, p, "").must(t, "CLIENT", "LIST"))
	for _, w := range waiting {
		w.introduced(t, list)
	}
	p.kill(t)
	p = start(t, args...)
	p.loaded(t)
	// What ioredis reads before it calls a server ready; a line that is missing means the same to it.
	if info := fmt.Sprint(dialResp(t, p, "").must(t, "INFO")); strings.Count(info, "\r\nloading:0\r\n") != 1 {
		t.Errorf("INFO does not say once that nothing is being loaded:\n%s", info)
	}
	for _, w := range waiting {
		t.Run(w.name(), func(t *testing.T) { w.goOn(t) })
	}
}

// quietPort finds a free port that the kernel gives nobody by itself, so that it is still free when a server is started on
// it, and when it is started again.
func quietPort(t *testing.T) string {
	t.Helper()
	const least = 10_000
	first := 32_768 // Linux's own choice begins here, unless it was told otherwise
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(text), &first); err != nil {
			t.Fatalf("reading the range of ephemeral ports from %q: %v", text, err)
		}
	}
	for range 100 {
		port := fmt.Sprint(least + rand.IntN(max(first, least+1000)-least))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatalf("none of 100 ports from %d to %d is free", least, first)
	return ""
}
