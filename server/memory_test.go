package server

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// TestIdleConnections measures what a connection costs when it does nothing, after one SET each. The clients
// live in another process (this program, started again), so that the growth is the server's alone.
func TestIdleConnections(t *testing.T) {
	const n = 1000
	if addr := os.Getenv("NITROKV_TEST_DIAL"); addr != "" {
		dialAndHold(addr, n)
		return
	}
	s := start(t, Options{})
	dial(t, s).check(status("OK"), "SET", "warm", "up")
	runtime.GC()
	debug.FreeOSMemory()
	before, ready := residentBytes(), s.store.Stats().PoolFreeBytes

	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleConnections$")
	cmd.Env = append(os.Environ(), "NITROKV_TEST_DIAL="+s.Addr().String())
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	waitFor(t, "the connections", func() bool { requests, _, _ := s.traffic(); return requests == n+1 })
	grown := int64(residentBytes()) - int64(before)
	grown -= int64(s.store.Stats().PoolFreeBytes) - int64(ready) // pages that the engine keeps ready, whoever is there
	t.Logf("%d idle connections: %d resident bytes each", n, grown/n)
	if !raceEnabled && grown/n > 8<<10 {
		t.Errorf("%d resident bytes per idle connection, want at most 8192", grown/n)
	}
	must(t, in.Close())
	must(t, cmd.Wait())
}

// dialAndHold opens n connections, sends one SET on each, and keeps them until its standard input ends.
func dialAndHold(addr string, n int) {
	var held []net.Conn
	for i := range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			os.Exit(3)
		}
		held = append(held, c)
		if _, err := c.Write([]byte(resp("SET", "k"+strconv.Itoa(i), strings.Repeat("v", 16)))); err != nil {
			os.Exit(3)
		}
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // the end of the parent's interest
	runtime.KeepAlive(held)
}
