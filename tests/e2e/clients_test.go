package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs of tests/e2e/clients use clients that other people wrote as applications use them; clients/README.md says what
// they do. The same scenarios run against redis-server, which proves that what they demand is what Redis does.

// clientLimit is for one program with all scenarios, which take a second or two. The program's own limits are shorter, so
// that it is the one that says what hangs.
const clientLimit = 3 * time.Minute

// scenarios that every program plays on every server.
var scenarios = []string{"session-store", "rate-limiter", "cache-aside", "counters", "bulk-load"}

// A clientProgram is one client library that speaks one protocol.
type clientProgram struct {
	lib      string // as the client names itself with CLIENT SETINFO
	version  int    // of the library, where several are tried; else 0
	protocol int
	argv     []string
	env      []string
}

func (c clientProgram) name() string {
	if c.version > 0 {
		return fmt.Sprintf("%s%d-RESP%d", c.lib, c.version, c.protocol)
	}
	return fmt.Sprintf("%s-RESP%d", c.lib, c.protocol)
}

// clientPrograms builds what has to be built. A client that is missing is a failure: nothing would be known about it.
func clientPrograms(t *testing.T) []clientProgram {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/", "./clients/goredis", "./clients/rueidis")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs in tests/e2e/clients: %v\n%s", err, out)
	}
	installed, err := filepath.Abs(filepath.Join("..", "..", "obj", "clients"))
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(installed, "python", "bin", "python3")
	modules := filepath.Join(installed, "node", "node_modules")
	for _, path := range []string{python, filepath.Join(modules, "ioredis"), filepath.Join(modules, "ioredis5")} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("a client library is not installed; type: make deps (%v)", err)
		}
	}
	var all []clientProgram
	for _, protocol := range []int{2, 3} {
		all = append(all,
			clientProgram{"go-redis", 0, protocol, []string{filepath.Join(dir, "goredis")}, nil},
			clientProgram{"rueidis", 0, protocol, []string{filepath.Join(dir, "rueidis")}, nil},
			clientProgram{"redis-py", 0, protocol, []string{python, filepath.Join("clients", "python", "scenarios.py")}, nil},
			ioredis(t, modules, "ioredis", 6, protocol))
	}
	return append(all, ioredis(t, modules, "ioredis5", 5, 2))
}

func ioredis(t *testing.T, modules, module string, version, protocol int) clientProgram {
	t.Helper()
	return clientProgram{"ioredis", version, protocol,
		[]string{lookUp(t, "node"), filepath.Join("clients", "node", "scenarios.js")},
		[]string{"NODE_PATH=" + modules, "CLIENT_PACKAGE=" + module}}
}

// command makes the call; the password is in the environment, as it is no secret there.
func (c clientProgram) command(ctx context.Context, addr, password string, names ...string) *exec.Cmd {
	args := append([]string{addr, fmt.Sprint(c.protocol), c.name() + ":"}, names...)
	cmd := exec.CommandContext(ctx, c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], args...)...)
	cmd.Env = append(append(environ(), c.env...), "CLIENT_PASSWORD="+password)
	return cmd
}

// play runs the program to its end and makes each scenario a test.
func (c clientProgram) play(t *testing.T, addr, password string, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := c.command(ctx, addr, password, names...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	judge(t, stdout.String(), names)
	if err != nil {
		t.Errorf("%s ended with %v\n%s", c.name(), err, stderr.String())
	}
}

// judge demands a verdict on each scenario, and a good one.
func judge(t *testing.T, stdout string, names []string) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			verdict := "there is no verdict on it"
			for line := range strings.Lines(stdout) {
				if line == "ok "+name+"\n" {
					return
				}
				if strings.HasPrefix(line, "failed "+name+": ") {
					verdict = strings.TrimSpace(line)
				}
			}
			t.Error(verdict)
		})
	}
}

// startLocked is start for a server with a password.
func startLocked(t *testing.T, password string) *process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "--dir", filepath.Join(dir, "data"), "--password-file", file)
	p.listening(t)
	eventually(t, startLimit, "the server accepts its password and has loaded its data", func() bool {
		return serves(p.addr, password, p.cmd.Process.Pid)
	})
	return p
}

// TestClients: the clients that services use, each in each protocol it speaks, with and without a password.
func TestClients(t *testing.T) {
	programs := clientPrograms(t)
	each := func(t *testing.T, f func(t *testing.T, c clientProgram)) {
		for _, c := range programs {
			t.Run(c.name(), func(t *testing.T) {
				t.Parallel()
				f(t, c)
			})
		}
	}
	t.Run("nitrokv", func(t *testing.T) {
		p := start(t) // one for all, so that they meet
		each(t, func(t *testing.T, c clientProgram) { c.play(t, p.addr, "", scenarios...) })
	})
	t.Run("nitrokv with a password", func(t *testing.T) {
		// One for each: wrong passwords make a server slow down whoever comes from that address.
		each(t, func(t *testing.T, c clientProgram) {
			const password = "open sesame"
			c.play(t, startLocked(t, password).addr, password, append(scenarios, "passwords")...)
		})
	})
	t.Run("redis-server", func(t *testing.T) {
		addr := startReference(t, "")
		each(t, func(t *testing.T, c clientProgram) { c.play(t, addr, "", scenarios...) })
	})
	t.Run("redis-server with a password", func(t *testing.T) {
		addr := startReference(t, "sesame")
		each(t, func(t *testing.T, c clientProgram) { c.play(t, addr, "sesame", "passwords") })
	})
	t.Run("restart", func(t *testing.T) { clientsSurviveRestart(t, programs) })
}
