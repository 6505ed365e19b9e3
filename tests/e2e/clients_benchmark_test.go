package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestRedisBenchmark: the tool that comes with Redis finds nothing to complain about, and its requests have all been executed.
func TestRedisBenchmark(t *testing.T) {
	tool := lookUp(t, "redis-benchmark")
	const requests = 4000
	for _, mode := range []struct {
		name string
		args []string
	}{
		{"RESP2", nil},
		{"RESP3, pipelined", []string{"-3", "-P", "16"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			p := start(t, "--sync", "never")
			host, port, err := net.SplitHostPort(p.addr)
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-h", host, "-p", port, "-t", "set,get,incr,mset", "-n", fmt.Sprint(requests), "-c", "10",
				"--csv"}, mode.args...)
			r := command(t, "", tool, args...)
			if r.status != 0 || r.stderr != "" {
				t.Errorf("redis-benchmark %q: status %d, stderr %q", args, r.status, r.stderr)
			}
			tests := 0
			for line := range strings.Lines(r.stdout) {
				name, rest, _ := strings.Cut(line, ",")
				switch name {
				case `"test"`: // the heading
				case `"SET"`, `"GET"`, `"INCR"`, `"MSET (10 keys)"`:
					tests++
				default:
					t.Errorf("redis-benchmark printed %q, %q", name, rest)
				}
			}
			if tests != 4 {
				t.Errorf("redis-benchmark has measured %d commands, want 4:\n%s", tests, r.stdout)
			}
			if n := dialResp(t, p, "").must(t, "GET", "counter:__rand_int__"); n != fmt.Sprint(requests) {
				t.Errorf("after %d INCRs the counter is %v", requests, n)
			}
		})
	}
}
