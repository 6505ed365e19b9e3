package server

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

func TestHello(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	id := c.do("CLIENT", "ID").(int64)
	about := func(proto int64) []any {
		return []any{"server", "redis", "version", RedisVersion, "proto", proto, "id", id, "mode", "standalone", "role",
			"master", "modules", []any{}}
	}
	c.check(about(2), "HELLO")
	c.check(respMap(about(3)), "HELLO", "3", "SETNAME", "me")
	c.check("me", "CLIENT", "GETNAME")
	c.check(respError("NOPROTO unsupported protocol version"), "HELLO", "4")
	c.check(respError("ERR Protocol version is not an integer or out of range"), "HELLO", "x")
	c.check(respError("ERR Syntax error in HELLO option 'WHAT'"), "HELLO", "2", "WHAT")
	c.check(respError("ERR Client names cannot contain spaces, newlines or special characters."),
		"HELLO", "2", "SETNAME", "a b")
	c.check(respError("WRONGPASS invalid username-password pair or user is disabled."), "HELLO", "2", "AUTH", "bob", "pw")
	c.ask(resp("GET", "nothing"), "_\r\n") // RESP3 still: none of the failures changed anything
	c.check(about(2), "HELLO", "2")
	c.ask(resp("GET", "nothing"), "$-1\r\n")
}

func TestAuthWithoutPassword(t *testing.T) {
	c := dial(t, start(t, Options{}))
	none := respError("ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?")
	c.check(none, "AUTH", "pw")
	c.check(none, "AUTH", "default", "pw")
	c.check(respError("WRONGPASS invalid username-password pair or user is disabled."), "AUTH", "bob", "pw")
	c.check(respError("ERR syntax error"), "AUTH", "a", "b", "c")
}

func TestReset(t *testing.T) {
	c := dial(t, start(t, Options{}))
	c.do("HELLO", "3", "SETNAME", "me")
	c.check(status("RESET"), "RESET")
	c.ask(resp("CLIENT", "GETNAME"), "$-1\r\n")
}

func TestClientCommands(t *testing.T) {
	s := start(t, Options{})
	a, b := dial(t, s), dial(t, s)
	idA, idB := a.do("CLIENT", "ID").(int64), b.do("CLIENT", "ID").(int64)
	if idB <= idA {
		t.Errorf("ids %d, %d", idA, idB)
	}
	a.check(nil, "CLIENT", "GETNAME")
	a.check(status("OK"), "CLIENT", "SETNAME", "alice")
	a.check("alice", "CLIENT", "GETNAME")
	badName := respError("ERR Client names cannot contain spaces, newlines or special characters.")
	a.check(badName, "CLIENT", "SETNAME", "two words")
	a.check(status("OK"), "CLIENT", "SETINFO", "lib-name", "go-test")
	a.check(status("OK"), "CLIENT", "SETINFO", "LIB-VER", "1.2")
	a.check(respError("ERR Unrecognized option 'lib-x'"), "CLIENT", "SETINFO", "lib-x", "1")
	a.check(respError("ERR lib-name cannot contain spaces, newlines or special characters."),
		"CLIENT", "SETINFO", "lib-name", "a b")
	info := a.do("CLIENT", "INFO").(string)
	for _, want := range []string{fmt.Sprintf("id=%d ", idA), "addr=" + a.LocalAddr().String() + " ",
		"laddr=" + s.Addr().String() + " ", "name=alice ", "resp=2 ", "lib-name=go-test ", "lib-ver=1.2\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("%q is not in %q", want, info)
		}
	}
	lines := func(args ...string) int {
		return strings.Count(b.do(append([]string{"CLIENT", "LIST"}, args...)...).(string), "\n")
	}
	for want, args := range map[int][]string{2: {"TYPE", "normal"}, 0: {"TYPE", "pubsub"}, 1: {"ID", fmt.Sprint(idA), "999"}} {
		if got := lines(args...); got != want {
			t.Errorf("CLIENT LIST %v has %d lines, want %d", args, got, want)
		}
	}
	b.check(respError("ERR Unknown client type 'x'"), "CLIENT", "LIST", "TYPE", "x")
	b.check(respError("ERR Invalid client ID"), "CLIENT", "LIST", "ID", "x")
	b.check(respError("ERR syntax error"), "CLIENT", "LIST", "what")
}

func TestClientKill(t *testing.T) {
	s := start(t, Options{})
	me := dial(t, s)
	victim := func() (*client, string) {
		c := dial(t, s)
		return c, fmt.Sprint(c.do("CLIENT", "ID"))
	}
	a, id := victim()
	me.check(int64(1), "CLIENT", "KILL", "ID", id)
	a.expectEnd()
	b, _ := victim()
	me.check(status("OK"), "CLIENT", "KILL", b.LocalAddr().String())
	b.expectEnd()
	me.check(respError("ERR No such client"), "CLIENT", "KILL", "127.0.0.1:1")
	me.check(int64(0), "CLIENT", "KILL", "ID", id)
	me.check(int64(0), "CLIENT", "KILL", "LADDR", s.Addr().String()) // all but me: nobody
	me.check(respError("ERR client-id should be greater than 0"), "CLIENT", "KILL", "ID", "x")
	me.check(respError("ERR syntax error"), "CLIENT", "KILL", "TYPE", "normal")
	me.check(respError("ERR syntax error"), "CLIENT", "KILL", "ID", "1", "ADDR")
	me.check(int64(1), "CLIENT", "KILL", "LADDR", s.Addr().String(), "SKIPME", "no")
	me.expectEnd()
}

// TestKillInTheMiddleOfAReply: the victim is parked in a write, not in a read.
func TestKillInTheMiddleOfAReply(t *testing.T) {
	s := start(t, Options{})
	me, victim := dial(t, s), dial(t, s)
	id := fmt.Sprint(victim.do("CLIENT", "ID"))
	me.check(status("OK"), "SET", "k", strings.Repeat("v", 1<<20))
	victim.send(strings.Repeat("GET k\r\n", 100))
	waitFor(t, "replies that wait for the client", func() bool {
		list := me.do("CLIENT", "LIST", "ID", id).(string)
		return !strings.Contains(list, " omem=0 ")
	})
	me.check(int64(1), "CLIENT", "KILL", "ID", id)
	waitFor(t, "the end of the victim", func() bool { return s.connected() == 1 })
}

func TestConfig(t *testing.T) {
	s := start(t, Options{MaxMemory: 1 << 30, IdleTimeout: 90 * time.Second})
	c := dial(t, s)
	_, port, err := net.SplitHostPort(s.Addr().String())
	must(t, err)
	for name, want := range map[string]string{"save": "", "appendonly": "no", "databases": "1", "maxmemory": "1073741824",
		"timeout": "90", "port": port, "bind": "127.0.0.1", "maxmemory-policy": "noeviction", "maxclients": "2000"} {
		c.check([]any{strings.ToUpper(name), want}, "CONFIG", "GET", strings.ToUpper(name))
	}
	c.check([]any{"maxclients", "2000", "maxmemory", "1073741824", "save", ""},
		"CONFIG", "GET", "maxm?mory", "sav[e]", "maxcl*", "save")
	c.check([]any{}, "CONFIG", "GET", "nothing")
	if all := c.do("CONFIG", "GET", "*").([]any); len(all) != 2*len(settingTable) {
		t.Errorf("CONFIG GET * has %d elements", len(all))
	}
	c.check(status("OK"), "CONFIG", "SET", "maxmemory", "2mb", "timeout", "7")
	c.check([]any{"maxmemory", "2097152", "timeout", "7"}, "CONFIG", "GET", "maxmemory", "timeout")
	if got := s.store.Stats().MaxMemory; got != 2<<20 || s.live.idleTimeout() != 7*time.Second {
		t.Errorf("the engine's limit is %d, the idle timeout %v", got, s.live.idleTimeout())
	}
	failed := func(name, why string) respError {
		return respError("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why)
	}
	c.check(failed("port", "can't set immutable config"), "CONFIG", "SET", "timeout", "8", "port", "1")
	c.check(failed("maxmemory", "argument must be a memory value"), "CONFIG", "SET", "maxmemory", "-1")
	c.check(failed("timeout", "argument must be between 0 and 2147483647 inclusive"), "CONFIG", "SET", "timeout", "x")
	c.check(failed("timeout", "duplicate parameter"), "CONFIG", "SET", "timeout", "8", "timeout", "9")
	c.check(respError("ERR Unknown option or number of arguments for CONFIG SET - 'nope'"), "CONFIG", "SET", "nope", "1")
	c.check([]any{"timeout", "7"}, "CONFIG", "GET", "timeout") // all or nothing
	c.check(respError("ERR unknown subcommand 'RESETSTAT'. Try CONFIG HELP."), "CONFIG", "RESETSTAT")
}

func TestParseMemory(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "100": 100, "1k": 1000, "1kb": 1024, "2MB": 2 << 20, "3gb": 3 << 30, "5b": 5,
		"": -1, "x": -1, "-1": -1, "1tb": -1, "9999999999999gb": -1} {
		if got, ok := parseMemory(in); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", in, got, ok, want)
		}
	}
}

func TestInfo(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	c.do("SET", "k", "v")
	c.do("GET", "k")
	c.do("GET", "nothing")
	all := c.do("INFO").(string)
	for _, want := range []string{"# Server\r\n",
		"redis_version:" + RedisVersion + "\r\n", "nitrokv_version:" + engine.Version,
		"connected_clients:1\r\n", "keyspace_hits:1\r\n", "keyspace_misses:1\r\n", "db0:keys=1,expires=0,avg_ttl=0\r\n",
		"aof_enabled:0\r\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in INFO", want)
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(all, "\r\n"), "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); !(ok && name != "" || line == "" || strings.HasPrefix(line, "# ")) {
			t.Errorf("odd line %q", line)
		}
	}
	one := c.do("INFO", "KEYSPACE").(string)
	if one != "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n" {
		t.Errorf("INFO keyspace: %q", one)
	}
	c.check("", "INFO", "nothing")
	if two := c.do("INFO", "cpu", "clients").(string); strings.Count(two, "# ") != 2 {
		t.Errorf("two sections: %q", two)
	}
	if n, err := strconv.ParseUint(field([]byte(all), "used_memory_rss:"), 10, 64); err != nil || n < 1<<20 {
		t.Errorf("used_memory_rss: %d, %v", n, err)
	}
	c.do("HELLO", "3")
	c.send(resp("INFO", "cpu"))
	if line, err := c.br.ReadString('\n'); err != nil || line[0] != '=' {
		t.Errorf("INFO in RESP3 begins with %q, %v: no verbatim string", line, err)
	}
}

func TestFlush(t *testing.T) {
	c := dial(t, start(t, Options{}))
	for _, args := range [][]string{{"FLUSHALL"}, {"FLUSHDB", "ASYNC"}, {"flushall", "sync"}} {
		c.do("SET", "k", "v")
		c.check(status("OK"), args...)
		c.check(nil, "GET", "k")
	}
	c.do("SET", "k", "v")
	c.check(respError("ERR syntax error"), "FLUSHALL", "MAYBE")
	c.check("v", "GET", "k")
}

func TestCommandCommand(t *testing.T) {
	c := dial(t, start(t, Options{}))
	table := engine.Commands()
	c.check(int64(len(table)), "COMMAND", "COUNT")
	if all := c.do("COMMAND").([]any); len(all) != len(table) {
		t.Errorf("COMMAND has %d entries, want %d", len(all), len(table))
	}
	get := c.do("COMMAND", "INFO", "GET", "nothing").([]any)
	if len(get) != 2 || get[1] != nil {
		t.Errorf("COMMAND INFO GET nothing: %v", get)
	}
	if entry := get[0].([]any); len(entry) != 10 || entry[0] != "get" || entry[1] != int64(2) {
		t.Errorf("COMMAND INFO GET: %v", entry)
	}
	c.check([]any{"get"}, "COMMAND", "LIST", "FILTERBY", "PATTERN", "ge[t]")
	c.check([]any{}, "COMMAND", "LIST", "FILTERBY", "MODULE", "json")
	writes := c.do("COMMAND", "LIST", "FILTERBY", "ACLCAT", "write").([]any)
	if !slices.Contains(writes, "set") || slices.Contains(writes, "get") {
		t.Errorf("writing commands: %v", writes)
	}
	c.check(respError("ERR syntax error"), "COMMAND", "LIST", "FILTERBY")
	docs := c.do("COMMAND", "DOCS", "get", "nothing").([]any)
	if len(docs) != 2 || docs[0] != "get" || !slices.Contains(docs[1].([]any), "summary") {
		t.Errorf("COMMAND DOCS get: %v", docs)
	}
	c.check(respError("ERR unknown subcommand 'NOPE'. Try COMMAND HELP."), "COMMAND", "NOPE")
}

// TestEveryCommandIsDescribed, subcommands included, to programs and to people.
func TestEveryCommandIsDescribed(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	c.do("HELLO", "3")
	for i := range s.commands {
		for _, e := range append([]command{s.commands[i]}, s.commands[i].subs...) {
			entry, ok := c.do("COMMAND", "INFO", strings.ToUpper(e.Name)).([]any)[0].([]any)
			if !ok || len(entry) != 10 || entry[0] != e.Name || entry[1] != int64(e.Arity) {
				t.Errorf("COMMAND INFO %s: %v", e.Name, entry)
			}
			docs, ok := c.do("COMMAND", "DOCS", e.Name).(respMap)
			if !ok || len(docs) != 2 || docs[0] != e.Name {
				t.Fatalf("COMMAND DOCS %s: %v", e.Name, docs)
			}
			about := docs[1].(respMap)
			if about[0] != "summary" || about[1] == "" || about[2] != "group" || about[3] == "" ||
				len(e.subs) == 0 && slices.Contains(about, "arguments") != (e.Args != "") {
				t.Errorf("COMMAND DOCS %s: %v", e.Name, about)
			}
		}
	}
}

// TestWhatClientsSendAtConnect: libraries note their names, and take an error for what this server doesn't do.
func TestWhatClientsSendAtConnect(t *testing.T) {
	c := dial(t, start(t, Options{}))
	unknown := func(sub string) respError { return respError("ERR unknown subcommand '" + sub + "'. Try CLIENT HELP.") }
	for _, line := range []struct {
		in   string
		want any
	}{
		{"CLIENT SETINFO LIB-NAME go-redis(,go1.26)", status("OK")}, {"CLIENT SETINFO LIB-VER 9.7.0", status("OK")},
		{"CLIENT SETINFO lib-name redis-py(hiredis_v3)", status("OK")}, {"CLIENT SETNAME cache:1", status("OK")},
		{"CLIENT GETNAME", "cache:1"}, {"SELECT 0", status("OK")}, {"PING", status("PONG")},
		{"CLIENT NO-EVICT ON", unknown("NO-EVICT")}, {"CLIENT NO-TOUCH ON", unknown("NO-TOUCH")},
		{"CLIENT REPLY OFF", unknown("REPLY")}, {"CLIENT REPLY ON", unknown("REPLY")},
		{"CLIENT TRACKING ON OPTIN", unknown("TRACKING")}, {"CLIENT TRACKING OFF", unknown("TRACKING")},
		{"CLIENT CACHING YES", unknown("CACHING")}, {"CLIENT TRACKINGINFO", unknown("TRACKINGINFO")},
	} {
		c.check(line.want, strings.Fields(line.in)...)
	}
	for _, verb := range []string{"READONLY", "CLUSTER", "SUBSCRIBE", "SENTINEL"} {
		if e, ok := c.do(verb, "x").(respError); !ok || !strings.HasPrefix(string(e), "ERR unknown command '"+verb+"'") {
			t.Errorf("%s: %v", verb, e)
		}
	}
}

// effects are the subcommands and commands that may answer +OK, with what proves that it was done; everything
// else that answers +OK acknowledges what it didn't do.
var effects = map[string]func(*client) bool{
	"client|setname": func(c *client) bool { return c.do("CLIENT", "GETNAME") == "x" },
	"client|setinfo": func(c *client) bool { return strings.Contains(c.do("CLIENT", "INFO").(string), "lib-name=x") },
	"config|set": func(c *client) bool {
		return slices.Equal(c.do("CONFIG", "GET", "timeout").([]any), []any{"timeout", "0"})
	},
	"flushall": func(c *client) bool { return c.do("DBSIZE") == int64(0) },
	"flushdb":  func(c *client) bool { return c.do("DBSIZE") == int64(0) },
	"set":      xIsX,
	"put":      xIsX,
	"mset":     xIsX,
	"setex":    func(c *client) bool { return xIsX(c) && c.do("TTL", "x").(int64) > 0 },
	"psetex":   func(c *client) bool { return xIsX(c) && c.do("TTL", "x").(int64) > 0 },
	"rename":   func(c *client) bool { return c.do("GET", "y") == "old" && c.do("GET", "x") == nil },
	"delete":   func(c *client) bool { return c.do("GET", "x") == nil },
	"select":   func(c *client) bool { return true }, // SELECT 0: the database there is
	"quit":     func(c *client) bool { c.expectEnd(); return true },
	"merge":    func(c *client) bool { return scrapeInfo(c, "bitcask")["merges"] > "0" },
	"save": func(c *client) bool {
		info := scrapeInfo(c, "persistence")
		return info["snapshot_lsn"] != "0" && info["snapshot_lsn"] == info["log_appended_lsn"]
	},
}

func xIsX(c *client) bool { return c.do("GET", "x") == "x" }

// probes are arguments that a command can work with, where "x x …" isn't.
var probes = map[string][]string{
	"client|setinfo": {"lib-name", "x"}, "config|set": {"timeout", "0"}, "select": {"0"}, "flushall": {}, "flushdb": {},
	"setex": {"x", "1000", "x"}, "psetex": {"x", "1000000", "x"}, "rename": {"x", "y"},
}

// TestNoCommandIsAcknowledgedWithoutEffect sends every entry of COMMAND, and every subcommand, with the
// smallest number of arguments, one less and one more, and demands an effect or an error. Each finds the key x.
func TestNoCommandIsAcknowledgedWithoutEffect(t *testing.T) {
	s := start(t, Options{})
	before := dial(t, s)
	sent := 0
	for i := range s.commands {
		for _, c := range append([]command{s.commands[i]}, s.commands[i].subs...) {
			least := max(c.Arity, -c.Arity)
			args := append(strings.Split(c.Name, "|"), slices.Repeat([]string{"x"}, least)...)[:least]
			if p, ok := probes[c.Name]; ok {
				args = append(strings.Split(c.Name, "|"), p...)
			}
			for _, try := range [][]string{args, args[:len(args)-1], append(slices.Clone(args), "x")} {
				if len(try) > 0 {
					sent++
					before.check(status("OK"), "MSET", "x", "old", "y", "other")
					demandEffect(t, s, c.Name, try)
				}
			}
		}
		demandEffect(t, s, s.commands[i].Name, []string{s.commands[i].Name, "no-such-subcommand-or-option"})
	}
	if sent < 3*len(s.commands) {
		t.Errorf("only %d requests sent", sent)
	}
}

func demandEffect(t *testing.T, s *Server, name string, args []string) {
	t.Helper()
	c := dial(t, s)
	defer func() { _ = c.Close() }() // one connection per try: QUIT and RESET are among them
	if c.do(args...) != status("OK") {
		return
	}
	if check := effects[name]; check == nil || !check(c) {
		t.Errorf("%q answers +OK and nothing shows that it was done", args)
	}
}

// TestRedisCLI: the distribution's redis-cli understands COMMAND DOCS, and works.
func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal("redis-cli is not installed; make deps installs it")
	}
	s := start(t, Options{})
	_, port, err := net.SplitHostPort(s.Addr().String())
	must(t, err)
	for _, c := range []struct{ args, want string }{
		{"set user_id 42069", "OK"},
		{"get user_id", "42069"},
		{"-3 get user_id", "42069"},
		{"help get", "GET\x1b[0m \x1b[90mkey"},
		{"help getex", "PERSIST"},
		{"--raw info server", "nitrokv_version:"},
		{"config get save", "save"},
	} {
		out, err := exec.Command(cli, append([]string{"-p", port}, strings.Fields(c.args)...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("redis-cli %s: %q, %v, want %q", c.args, out, err, c.want)
		}
	}
}

func TestParseArgs(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"key":                                  "key:key",
		"key value":                            "key:key value:string",
		"key [key ...]":                        "key:key...",
		"key value [key value ...]":            "key:key value:string [key-value{key:key value:string}...]",
		"[NX|XX]":                              "[nx-xx(NX|XX)]",
		"cursor [MATCH pattern] [COUNT count]": "cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer]",
		"[EX seconds|PX ms|KEEPTTL]":           "[seconds-ms-keepttl(EX=seconds:integer|PX=ms:integer|KEEPTTL)]",
		"ip:port|[ID client-id] [ADDR ip:port]": "ip:port-client-id(ip:port:string|[ID=client-id:integer])" +
			" [ADDR=ip:port:string]",
	} {
		if got := showArgs(parseArgs(in), " "); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func showArgs(list []argument, sep string) string {
	var out []string
	for _, a := range list {
		s := a.name + ":" + a.kind
		switch {
		case a.kind == "pure-token":
			s = a.token
		case a.kind == "oneof":
			s = a.name + "(" + showArgs(a.parts, "|") + ")"
		case a.kind == "block":
			s = a.name + "{" + showArgs(a.parts, " ") + "}"
		case a.token != "":
			s = a.token + "=" + s
		}
		if a.multiple {
			s += "..."
		}
		if a.optional {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, sep)
}
