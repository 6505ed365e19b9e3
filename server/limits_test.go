package server

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, opt := range map[string]Options{
		"password":    {Password: Secret(strings.Repeat("x", PasswordMax+1))},
		"max clients": {MaxClients: -1},
		"idle":        {IdleTimeout: -time.Second},
		"write":       {WriteTimeout: -time.Second},
		"max value":   {MaxValue: 1 << 30},
		"max args":    {MaxArgs: -1},
		"segments":    {Segments: 3},
		"log file":    {LogFileBytes: 1000},
		"sync level":  {Level: engine.LevelAlways + 1},
		"failed log":  {OnIOError: IOErrorReadOnly + 1},
	} {
		if _, err := New(opt); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooFewDescriptors(t *testing.T) {
	err := ensureDescriptors(1 << 40)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") || !strings.Contains(err.Error(), "--max-clients") {
		t.Errorf("a trillion clients: %v", err)
	}
}

func TestCgroupMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no cgroups": {nil, 0},
		"v2": {map[string]string{
			"/proc/self/cgroup":                   "0::/a/b\n",
			"/sys/fs/cgroup/a/b/memory.max":       "max\n",
			"/sys/fs/cgroup/a/memory.max":         "1000000\n",
			"/sys/fs/cgroup/memory.max":           "2000000\n",
			"/sys/fs/cgroup/memory/memory.max":    "1\n",
			"/sys/fs/cgroup/memory.limit_in_byte": "1\n",
		}, 1000000},
		"v2 in a container": {map[string]string{
			"/proc/self/cgroup":         "0::/../../host/path\n",
			"/sys/fs/cgroup/memory.max": "3000000\n",
		}, 3000000},
		"v1": {map[string]string{
			"/proc/self/cgroup": "12:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n",
			"/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "5000000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes":          "9223372036854771712\n",
		}, 5000000},
		"nonsense": {map[string]string{
			"/proc/self/cgroup":         "0\n\n0::/\n",
			"/sys/fs/cgroup/memory.max": "lots\n",
		}, 0},
	} {
		read := func(name string) ([]byte, error) {
			if text, ok := c.files[name]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		}
		if got := cgroupMemory(read); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestEffectiveMaxMemory(t *testing.T) {
	if n, _ := effectiveMaxMemory(-1); n != 0 {
		t.Errorf("no limit asked for: %d", n)
	}
	if n, _ := effectiveMaxMemory(123); n != 123 {
		t.Errorf("123 asked for: %d", n)
	}
}

// listenError starts a server that must not get a port, and returns why.
func listenError(t *testing.T, addrs ...string) string {
	t.Helper()
	s, err := New(Options{Listen: addrs, MaxClients: 10})
	if err != nil {
		return err.Error()
	}
	t.Cleanup(func() { must(t, s.Shutdown(t.Context())) })
	err = s.Listen()
	if err == nil {
		t.Fatalf("it listens on %v", s.Addrs())
	}
	if len(s.Addrs()) != 0 {
		t.Errorf("some addresses are bound: %v", s.Addrs())
	}
	return err.Error()
}

func TestBusyPort(t *testing.T) {
	taken := start(t, Options{}).Addr().String()
	text := listenError(t, "127.0.0.1:0", taken)
	if !strings.Contains(text, "nitrokv ") || !strings.Contains(text, "--port") {
		t.Errorf("port taken by nitrokv: %s", text)
	}
	for greeting, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\nx:1\r\n": "redis 7.0.15 answers",
		"-NOAUTH Authentication required.\r\n":        "with a password",
		"HTTP/1.1 400 Bad Request\r\n\r\n":            "a web server",
		"ERROR\r\n":                                   "memcached",
		"220 hello\r\n":                               "another program",
		"":                                            "doesn't speak",
	} {
		if text := listenError(t, answerer(t, greeting)); !strings.Contains(text, want) {
			t.Errorf("port taken by something that answers %q: %s", greeting, text)
		}
	}
}

// answerer listens and gives everybody the same answer to the first thing they say.
func answerer(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = c.Read(make([]byte, 100)) // whatever it is
			_, _ = c.Write([]byte(answer))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestRefusedAddressLeavesNothing: neither a typing error in a service file nor a forgotten password makes a folder.
func TestRefusedAddressLeavesNothing(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "no port"} {
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := New(Options{Listen: []string{addr}, Dir: dir}); err == nil {
			t.Errorf("%s was not refused", addr)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the data folder is there: %v", addr, err)
		}
	}
}

func TestOpenAddressesNeedConsent(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		text := listenError(t, addr)
		for _, way := range []string{"--password-file", "NITROKV_PASSWORD", "127.0.0.1", "--insecure-no-auth"} {
			if !strings.Contains(text, way) {
				t.Errorf("%s: %q is not in %s", addr, way, text)
			}
		}
	}
	if text := listenError(t, "no port"); !strings.Contains(text, "host:port") {
		t.Errorf("bad address: %s", text)
	}
	const warning = "there is no password"
	for opt, warn := range map[*Options]bool{
		{InsecureNoAuth: true}:                                  true,
		{Password: testPassword}:                                false,
		{Password: testPassword, InsecureNoAuth: true}:          false,
		{InsecureNoAuth: true, Listen: []string{"127.0.0.1:0"}}: false,
	} {
		var log logBuffer
		opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if opt.Listen == nil {
			opt.Listen = []string{"0.0.0.0:0"}
		}
		if s := start(t, *opt); s.Addr() == nil || strings.Contains(log.String(), warning) != warn {
			t.Errorf("%v: it listens on %v and says %s", *opt, s.Addr(), log.String())
		}
	}
}
