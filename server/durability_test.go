package server

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// startLogged starts a server with a log and waits until it is loaded.
func startLogged(t testing.TB, opt Options) *Server {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s := start(t, opt)
	waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	return s
}

// restart stops a server cleanly and starts one on the same folder.
func restart(t *testing.T, s *Server) *Server {
	t.Helper()
	must(t, s.Shutdown(context.Background()))
	opt := s.opt
	opt.Listen = nil
	return startLogged(t, opt)
}

// TestDataSurvives a clean stop, whatever wrote it and however it was acknowledged.
func TestDataSurvives(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	c.check(status("OK"), "SET", "always", "1")
	c.check(status("OK"), "CLIENT", "DURABILITY", "everysec")
	c.check(status("OK"), "SET", "everysec", "2")
	c.check(status("OK"), "CLIENT", "DURABILITY", "never")
	c.check(status("OK"), "SET", "never", strings.Repeat("3", 100_000))
	b := dial(t, s)
	r := proto.NewReader(b.br, proto.KindReply, proto.Limits{})
	askBinary(t, b, r, proto.AppendSet(nil, proto.Meta{ID: 1}, "binary", "4"), proto.OK)
	s = restart(t, s)
	c = dial(t, s)
	c.check([]any{"1", "2", strings.Repeat("3", 100_000), "4"}, "MGET", "always", "everysec", "never", "binary")
	info := c.do("INFO", "persistence").(string)
	for _, want := range []string{"loading:0", "aof_enabled:1", "aof_last_write_status:ok", "log_status:ok", "log_sync:always",
		"log_on_io_error:exit", "recovery_clean_stop:1", "recovery_created:0", "recovery_keys:4", "recovery_cut_bytes:0"} {
		if !strings.Contains(info, want+"\r\n") {
			t.Errorf("%q is not in %s", want, info)
		}
	}
	c.check(status("OK"), "FLUSHALL")
	dial(t, restart(t, s)).check(int64(0), "DBSIZE")
}

// TestAcknowledgedIsDurable: at level always no reply comes before the log says so.
func TestAcknowledgedIsDurable(t *testing.T) {
	s := startLogged(t, Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		c := dial(t, s)
		wg.Go(func() {
			for j := range 50 {
				key := fmt.Sprint("k", i)
				if v := c.do("SET", key, fmt.Sprint(j)); v != status("OK") {
					t.Errorf("set: %v", v)
				}
				version := s.versionOf(t, key)
				if durable := s.store.Durable(); durable < version {
					t.Errorf("the write with LSN %d was acknowledged with %d durable", version, durable)
				}
			}
		})
	}
	wg.Wait()
}

func (s *Server) versionOf(t *testing.T, key string) uint64 {
	t.Helper()
	info, err := s.store.Info([]byte(key))
	must(t, err)
	return info.Version
}

// TestPipelineWithLog: replies that wait and replies that don't stay in their order, and none is lost.
func TestPipelineWithLog(t *testing.T) {
	for _, level := range []string{"always", "everysec", "never"} {
		t.Run(level, func(t *testing.T) {
			l, err := engine.ParseLevel(level)
			must(t, err)
			s := startLogged(t, Options{Level: l})
			big := strings.Repeat("b", 100_000)
			c := dial(t, s)
			c.check(status("OK"), "SET", "big", big)
			const n = 3000
			var in, want strings.Builder
			for i := range n {
				value := strings.Repeat("v", i%200)
				in.WriteString(resp("SET", fmt.Sprint(i), value) + resp("GET", fmt.Sprint(i)) + "PING\r\n")
				fmt.Fprintf(&want, "+OK\r\n$%d\r\n%s\r\n+PONG\r\n", len(value), value)
				if i%500 == 0 {
					in.WriteString(resp("SET", "big", big) + resp("GET", "big") + resp("SELECT", "0") +
						resp("WAITAOF", "1", "0", "0"))
					fmt.Fprintf(&want, "+OK\r\n$%d\r\n%s\r\n+OK\r\n*2\r\n:1\r\n:0\r\n", len(big), big)
					in.WriteString(resp("MSET", "a", big[:60_000], "b", big, "c", "") + resp("MGET", "a", "b", "c", "a"))
					fmt.Fprintf(&want, "+OK\r\n*4\r\n$60000\r\n%s\r\n$%d\r\n%s\r\n$0\r\n\r\n$60000\r\n%s\r\n",
						big[:60_000], len(big), big, big[:60_000])
				}
			}
			go func() { _, _ = io.WriteString(c.TCPConn, in.String()) }() // a failure shows in the replies
			c.expect(want.String())
			must(t, c.CloseWrite())
			c.expectEnd()
		})
	}
}

// TestBinaryPipelineWithLog: every id gets its reply, and a fence comes behind all of them.
func TestBinaryPipelineWithLog(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	const n = 2000
	var in []byte
	for i := range uint16(n) {
		in = proto.AppendSet(in, proto.Meta{ID: 2 * i}, strconv.Itoa(int(i)), strings.Repeat("v", int(i)%100))
		in = proto.AppendGet(in, proto.Meta{ID: 2*i + 1}, strconv.Itoa(int(i)))
	}
	in = proto.AppendNoop(in, proto.Meta{ID: 2 * n})
	go func() { _, _ = c.Write(in) }() // a failure shows in the replies
	seen := map[uint16]bool{}
	for range 2*n + 1 {
		m, err := r.Next()
		must(t, err)
		if m.Status() != proto.OK || seen[m.ID] || m.ID == 2*n && len(seen) != 2*n {
			t.Fatalf("reply to %d after %d others: %v, seen %v", m.ID, len(seen), m.Status(), seen[m.ID])
		}
		if m.ID%2 == 1 && len(m.Body) != int(m.ID/2)%100 {
			t.Errorf("reply to %d: %q", m.ID, m.Body)
		}
		seen[m.ID] = true
	}
	if version, durable := s.versionOf(t, strconv.Itoa(n-1)), s.store.Durable(); durable < version {
		t.Errorf("%d is durable, the last write was %d", durable, version)
	}
}

// TestBinaryLargeValuesWithLog: nothing gets between the head of a large value and the value, and parts of a reply that
// waits come in their order.
func TestBinaryLargeValuesWithLog(t *testing.T) {
	c := dial(t, startLogged(t, Options{}))
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	const n = 100
	value := strings.Repeat("0123456789", 20_000)
	var in []byte
	in = proto.AppendSet(in, proto.Meta{}, "old", value)
	for i := range uint16(n) {
		in = proto.AppendSet(in, proto.Meta{ID: 4*i + 1}, "new", value)
		in = proto.AppendGet(in, proto.Meta{ID: 4*i + 2}, "old")
		in = proto.AppendGet(in, proto.Meta{ID: 4*i + 3}, "new")
		in = proto.AppendMGet(in, proto.Meta{ID: 4*i + 4}, []string{"new", "small", "old"})
	}
	go func() { _, _ = c.Write(in) }() // a failure shows in the replies
	seen := map[uint16]bool{}
	for range 4*n + 1 {
		m, err := r.Next()
		must(t, err)
		want := map[uint16]int{2: len(value), 3: len(value), 0: 4 + 3*5 + 2*len(value)}[m.ID%4]
		if m.ID == 0 || m.ID%4 == 1 {
			want = 0
		}
		if m.Status() != proto.OK || len(m.Body) != want || seen[m.ID] {
			t.Fatalf("reply to %d: %v, %d bytes, want %d, seen %v", m.ID, m.Status(), len(m.Body), want, seen[m.ID])
		}
		seen[m.ID] = true
	}
}

// TestEndOfStreamBehindAWrite: a client that closes its half behind its last request gets the reply all the same.
func TestEndOfStreamBehindAWrite(t *testing.T) {
	s := startLogged(t, Options{})
	for i := range 20 {
		c := dial(t, s)
		sendWithFIN(t, c, resp("SET", "k", fmt.Sprint(i))+resp("GET", "k"))
		v := fmt.Sprint(i)
		c.expect(fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(v), v))
		c.expectEnd()
		c = dial(t, s)
		c.ask(resp("SET", "q", v)+resp("QUIT"), "+OK\r\n+OK\r\n")
		c.expectEnd()
	}
}

func TestWaitAOF(t *testing.T) {
	logged, volatile := startLogged(t, Options{Level: engine.LevelNever}), start(t, Options{})
	number := respError("ERR value is not an integer or out of range")
	for _, c := range []struct {
		args string
		want any
	}{
		{"0 0 0", []any{int64(1), int64(0)}},
		{"1 0 0", []any{int64(1), int64(0)}},
		{"1 0 60000", []any{int64(1), int64(0)}}, // it doesn't take that long
		{"1 1 20", []any{int64(1), int64(0)}},    // no replica comes
		{"x 0 0", number},
		{"2 0 0", respError("ERR value is out of range, value must between 0 and 1")},
		{"-1 0 0", respError("ERR value is out of range, value must between 0 and 1")},
		{"0 x 0", respError("ERR value is out of range, must be positive")},
		{"0 -1 0", respError("ERR value is out of range, must be positive")},
		{"1 0 x", respError("ERR timeout is not an integer or out of range")},
		{"1 0 -1", respError("ERR timeout is negative")},
		{"1 0 9223372036854775807", respError("ERR timeout is out of range")},
		{"1 0", respError("ERR wrong number of arguments for 'waitaof' command")},
	} {
		dial(t, logged).check(c.want, append([]string{"WAITAOF"}, strings.Fields(c.args)...)...)
	}
	c := dial(t, volatile)
	c.check(respError("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
		"WAITAOF", "1", "0", "0")
	c.check([]any{int64(0), int64(0)}, "WAITAOF", "0", "0", "0")
	c.check([]any{int64(0), int64(0)}, "WAITAOF", "0", "1", "20")

	// A write below always is on disk when WAITAOF says so.
	c = dial(t, logged)
	c.check(status("OK"), "SET", "k", "v")
	c.check([]any{int64(1), int64(0)}, "WAITAOF", "1", "0", "0")
	if durable, version := logged.store.Durable(), logged.versionOf(t, "k"); durable < version {
		t.Errorf("%d is durable, the write was %d", durable, version)
	}
	c.check(status("OK"), "FLUSHALL")
	c.check([]any{int64(1), int64(0)}, "WAITAOF", "1", "0", "0")
	if appended, durable := logged.store.Appended(), logged.store.Durable(); durable < appended {
		t.Errorf("%d is durable of %d after FLUSHALL", durable, appended)
	}
}

// TestWaitAOFEndsWithItsClient, with CLIENT KILL and with the server: it would wait for ever.
func TestWaitAOFEnds(t *testing.T) {
	s := startLogged(t, Options{})
	me := dial(t, s)
	blocked := func(n int) func() bool {
		want := fmt.Sprintf("blocked_clients:%d\r\n", n)
		return func() bool { return strings.Contains(me.do("INFO", "clients").(string), want) }
	}
	gone, killed, left := dial(t, s), dial(t, s), dial(t, s)
	id := fmt.Sprint(killed.do("CLIENT", "ID"))
	for _, c := range []*client{gone, killed, left} {
		c.ask("PING\r\n", "+PONG\r\n")
		c.send(resp("SET", "k", "v") + resp("WAITAOF", "0", "1", "0"))
		c.expect("+OK\r\n") // what comes before is not kept back
	}
	waitFor(t, "three blocked clients", blocked(3))
	must(t, gone.Close())
	waitFor(t, "the closed client's end", blocked(2))
	me.check(int64(1), "CLIENT", "KILL", "ID", id)
	waitFor(t, "the killed client's end", blocked(1))
	must(t, s.Shutdown(context.Background()))
	left.expect("*2\r\n:1\r\n:0\r\n")
	left.expectEnd()
}

func TestClientDurability(t *testing.T) {
	s := startLogged(t, Options{Level: engine.LevelEverysec})
	c := dial(t, s)
	c.check("everysec", "CLIENT", "DURABILITY")
	for _, level := range []string{"always", "never", "EverySec"} {
		c.check(status("OK"), "CLIENT", "DURABILITY", level)
		c.check(strings.ToLower(level), "client", "durability")
		c.check(status("OK"), "SET", "k", level)
	}
	c.check(status("OK"), "CLIENT", "DURABILITY", "always")
	c.check(status("OK"), "CLIENT", "DURABILITY", "default")
	c.check("everysec", "CLIENT", "DURABILITY")
	c.check(status("OK"), "CLIENT", "DURABILITY", "always")
	c.check(status("RESET"), "RESET")
	c.check("everysec", "CLIENT", "DURABILITY")
	c.check(respError("ERR unknown durability 'x': use always, everysec, never or default"), "CLIENT", "DURABILITY", "x")
	c.check(respError("ERR wrong number of arguments for 'client|durability' command"), "CLIENT", "DURABILITY", "x", "y")
	if help := fmt.Sprint(c.do("CLIENT", "HELP")); !strings.Contains(help, "DURABILITY [ALWAYS|EVERYSEC|NEVER|DEFAULT]") {
		t.Errorf("help: %s", help)
	}
	c = dial(t, start(t, Options{}))
	c.check("none", "CLIENT", "DURABILITY")
	c.check(respError("ERR this server keeps no log: there is no durability to choose"),
		"CLIENT", "DURABILITY", "always")
}

func TestConfigOfTheLog(t *testing.T) {
	dir := t.TempDir()
	c := dial(t, startLogged(t, Options{Dir: dir, Level: engine.LevelNever}))
	c.check([]any{"appendfsync", "no", "appendonly", "yes", "dir", dir}, "CONFIG", "GET", "append*", "dir")
	c = dial(t, startLogged(t, Options{}))
	c.check([]any{"appendfsync", "always"}, "CONFIG", "GET", "appendfsync")
	c = dial(t, start(t, Options{}))
	c.check([]any{"appendfsync", "no", "appendonly", "no", "dir", ""}, "CONFIG", "GET", "append*", "dir")
}

func TestBinarySync(t *testing.T) {
	s := startLogged(t, Options{Level: engine.LevelNever})
	c := dial(t, s)
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	askBinary(t, c, r, proto.AppendSet(nil, proto.Meta{ID: 1}, "k", "v"), proto.OK)
	if m := askBinary(t, c, r, proto.AppendSync(nil, proto.Meta{ID: 2}), proto.OK); m.ID != 2 || len(m.Body) != 0 {
		t.Errorf("sync: id %d, %q", m.ID, m.Body)
	}
	if durable, version := s.store.Durable(), s.versionOf(t, "k"); durable < version {
		t.Errorf("%d is durable after SYNC, the write was %d", durable, version)
	}
	// The same at a level that asks for less.
	askBinary(t, c, r, proto.AppendSet(nil, proto.Meta{ID: 1}, "k", "w"), proto.OK)
	askBinary(t, c, r, proto.AppendSync(nil, proto.Meta{ID: 2, Flags: proto.DurabilityNever}), proto.OK)
	if durable, version := s.store.Durable(), s.versionOf(t, "k"); durable < version {
		t.Errorf("%d is durable after SYNC at never, the write was %d", durable, version)
	}
	always := proto.DurabilityAlways
	askBinary(t, c, r, proto.AppendFlush(nil, proto.Meta{ID: 3, Flags: always}), proto.OK)
	if appended, durable := s.store.Appended(), s.store.Durable(); durable < appended {
		t.Errorf("%d is durable of %d after FLUSH at always", durable, appended)
	}
	frames := proto.AppendSync(nil, proto.Meta{ID: 4, Flags: proto.FlagQuiet})
	if m := askBinary(t, c, r, proto.AppendNoop(frames, proto.Meta{ID: 5}), proto.OK); m.ID != 5 {
		t.Errorf("a reply to %d, want the fence's", m.ID)
	}
	c = dial(t, start(t, Options{}))
	r = proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	askBinary(t, c, r, proto.AppendSync(nil, proto.Meta{}), proto.EUNSUPPORTED)
}
