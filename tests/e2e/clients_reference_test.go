package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startReference runs the distribution's redis-server, which keeps nothing on disk, and returns its address. The test's end
// kills it.
func startReference(t *testing.T, password string) string {
	t.Helper()
	port := quietPort(t)
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\nsave \"\"\nappendonly no\ndir %q\n", port, t.TempDir())
	if password != "" {
		config += fmt.Sprintf("requirepass %q\n", password)
	}
	var output bytes.Buffer
	cmd := exec.Command(lookUp(t, "redis-server"), "-") // the configuration comes from stdin
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(config), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not stay behind if the tests are killed
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting redis-server: %v", err)
	}
	exited := make(chan struct{})
	go func() { // ends with the process; whoever kills that waits for it
		_ = cmd.Wait() // how it ended is in its output
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error means that it has ended already
		<-exited
	})
	addr := net.JoinHostPort("127.0.0.1", port)
	limit := time.After(startLimit)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !serves(addr, password, cmd.Process.Pid) {
		select {
		case <-exited:
			t.Fatalf("redis-server has ended at once:\n%s", output.String())
		case <-limit:
			t.Fatalf("redis-server (process %d) does not answer at %s after %v", cmd.Process.Pid, addr, startLimit)
		case <-again.C:
		}
	}
	return addr
}

// serves reports whether it is this process that answers at an address, and not another server that runs here, and whether
// it has loaded its data.
func serves(addr, password string, pid int) bool {
	c, err := openResp(addr, "")
	if err != nil {
		return false
	}
	defer c.Close()
	if password != "" {
		if _, err := c.do("AUTH", password); err != nil {
			return false
		}
	}
	if _, err := c.do("DBSIZE"); err != nil {
		return false
	}
	info, err := c.do("INFO", "server")
	return err == nil && strings.Contains(fmt.Sprint(info), fmt.Sprintf("process_id:%d\r\n", pid))
}
