package server

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// slowEntries asks for all entries; their arguments alone, the newest first.
func slowEntries(c *client) (all [][]string) {
	c.t.Helper()
	for _, e := range c.do("SLOWLOG", "GET", "-1").([]any) {
		var args []string
		for _, a := range e.([]any)[3].([]any) {
			args = append(args, a.(string))
		}
		all = append(all, args)
	}
	return all
}

func TestSlowlogEntry(t *testing.T) {
	s := start(t, Options{SlowlogMicros: SlowlogAll})
	c := dial(t, s)
	before := time.Now().Unix()
	c.check(status("OK"), "CLIENT", "SETNAME", "me")
	c.check(status("OK"), "SET", "k", "v")
	list := c.do("SLOWLOG", "GET", "1").([]any)
	if len(list) != 1 {
		t.Fatalf("%d entries, want 1", len(list))
	}
	e := list[0].([]any)
	if id, at := e[0].(int64), e[1].(int64); id != 1 || at < before-1 || at > time.Now().Unix()+1 {
		t.Errorf("entry %d of %d", id, at)
	}
	if micros := e[2].(int64); micros < 0 || micros > patience.Microseconds() {
		t.Errorf("it took %d µs", micros)
	}
	if got := fmt.Sprint(e[3]); got != "[SET k v]" || e[4] != c.LocalAddr().String() || e[5] != "me" {
		t.Errorf("%v of %v, %v", got, e[4], e[5])
	}
}

// What is asked for: how many, the newest first; RESET, LEN, and what is wrong.
func TestSlowlogVerbs(t *testing.T) {
	s := start(t, Options{SlowlogMicros: SlowlogAll, SlowlogLen: 15})
	c := dial(t, s)
	for i := range 20 {
		c.check(nil, "GET", strconv.Itoa(i))
	}
	c.check(status("OK"), "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	c.check(int64(15), "SLOWLOG", "LEN")
	if got := slowEntries(c); len(got) != 15 || fmt.Sprint(got[0]) != "[GET 19]" || fmt.Sprint(got[14]) != "[GET 5]" {
		t.Errorf("all: %v", got)
	}
	for n, want := range map[string]int{"0": 0, "3": 3, "15": 15, "99": 15} {
		if got := len(c.do("SLOWLOG", "GET", n).([]any)); got != want {
			t.Errorf("GET %s: %d entries, want %d", n, got, want)
		}
	}
	if got := len(c.do("SLOWLOG", "GET").([]any)); got != 10 {
		t.Errorf("GET: %d entries, want 10", got)
	}
	count := respError("ERR count should be greater than or equal to -1")
	c.check(count, "SLOWLOG", "GET", "-2")
	c.check(count, "SLOWLOG", "GET", "x")
	c.check(respError("ERR wrong number of arguments for 'slowlog|get' command"), "SLOWLOG", "GET", "1", "2")
	c.check(respError("ERR wrong number of arguments for 'slowlog|len' command"), "SLOWLOG", "LEN", "1")
	c.check(respError("ERR unknown subcommand 'frob'. Try SLOWLOG HELP."), "SLOWLOG", "frob")
	c.check(status("OK"), "SLOWLOG", "RESET")
	c.check(int64(0), "SLOWLOG", "LEN")
	c.check([]any{}, "SLOWLOG", "GET")
	if help := fmt.Sprint(c.do("SLOWLOG", "HELP")); !strings.Contains(help, "RESET") {
		t.Errorf("HELP: %s", help)
	}
}

func TestSlowlogSettings(t *testing.T) {
	c := dial(t, start(t, Options{}))
	get := func(name string) string { return c.do("CONFIG", "GET", name).([]any)[1].(string) }
	if got := get("slowlog-log-slower-than") + " " + get("slowlog-max-len"); got != "10000 128" {
		t.Errorf("defaults: %s", got)
	}
	for _, v := range []string{"-1", "0", "1", "123456", "9223372036854775807"} {
		c.check(status("OK"), "CONFIG", "SET", "slowlog-log-slower-than", v)
		want := v
		if len(v) > 10 {
			want = "-1" // longer than any request
		}
		if got := get("slowlog-log-slower-than"); got != want {
			t.Errorf("set to %s: %s", v, got)
		}
	}
	c.check(respError("ERR CONFIG SET failed (possibly related to argument 'slowlog-log-slower-than') - "+
		"argument must be between -1 and 9223372036854775807 inclusive"), "CONFIG", "SET", "slowlog-log-slower-than", "-2")
	c.check(respError("ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - "+
		"argument must be between 0 and 100000 inclusive"), "CONFIG", "SET", "slowlog-max-len", "100001")

	// Fewer entries: the newest ones stay; more: there is room.
	c.check(status("OK"), "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "4")
	for i := range 6 {
		c.check(nil, "GET", strconv.Itoa(i))
	}
	c.check(status("OK"), "CONFIG", "SET", "slowlog-log-slower-than", "-1", "slowlog-max-len", "2")
	if got := fmt.Sprint(slowEntries(c)); got != "[[GET 5] [GET 4]]" {
		t.Errorf("after fewer are kept: %s", got)
	}
	c.check(status("OK"), "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "3")
	c.check(nil, "GET", "x")
	if got := fmt.Sprint(slowEntries(c)); !strings.HasPrefix(got, "[[GET x] [CONFIG SET ") {
		t.Errorf("after more are kept: %s", got)
	}
	c.check(status("OK"), "CONFIG", "SET", "slowlog-max-len", "0")
	c.check(int64(0), "SLOWLOG", "LEN")
}

// A threshold that nothing reaches keeps nothing.
func TestSlowlogThreshold(t *testing.T) {
	var l slowlog
	l.init(Options{SlowlogMicros: 1000, SlowlogLen: 8})
	for took, want := range map[time.Duration]bool{0: false, 999 * time.Microsecond: false, time.Millisecond: true, time.Hour: true} {
		if got := l.catches(took); got != want {
			t.Errorf("%v: %v", took, got)
		}
	}
	l.setLimit(SlowlogNone)
	if l.catches(time.Hour) || l.micros() != -1 {
		t.Error("off: an hour is caught")
	}
	l.setLimit(0)
	if !l.catches(0) || l.micros() != 0 {
		t.Error("all: nothing is caught")
	}
}

// The requests of a pipeline are one entry that says so.
func TestSlowlogPipeline(t *testing.T) {
	c := dial(t, start(t, Options{SlowlogMicros: SlowlogAll}))
	c.ask(resp("GET", "first")+resp("GET", "b")+resp("PING"), "$-1\r\n$-1\r\n+PONG\r\n")
	all := slowEntries(c)
	last := all[len(all)-1]
	// The pieces of one write may be read apart on a busy machine: then there are several entries.
	n := 1
	if len(last) == 3 {
		if _, err := fmt.Sscanf(last[2], "... (%d requests in one chunk)", &n); err != nil || n < 2 || n > 3 {
			t.Errorf("%q: %v", last, err)
		}
	}
	if last[0] != "GET" || last[1] != "first" || n == 1 && len(all) < 3 {
		t.Errorf("%q", all)
	}
}

// Passwords don't get into the log: whatever the verb, the protocol, and whether it is right.
func TestSlowlogHidesPasswords(t *testing.T) {
	s := start(t, Options{SlowlogMicros: SlowlogAll, Password: "hunter2"})
	c := dial(t, s)
	c.do("AUTH", "hunter3")
	c.do("HELLO", "2", "AUTH", "default", "hunter4")
	c.do("AUTH", "default", "hunter2")
	c.do("CONFIG", "SET", "requirepass", "hunter5")
	c.do("config", "set", "maxclients", "100", "RequirePass", "hunter6")
	b := dial(t, s)
	r := proto.NewReader(b.br, proto.KindReply, proto.Limits{})
	askBinary(t, b, r, proto.AppendAuth(nil, proto.Meta{}, proto.Auth{User: "default", Password: "hunter7"}), proto.EAUTHFAILED)
	if got := fmt.Sprint(slowEntries(c)); strings.Contains(got, "hunter") || !strings.Contains(got, redacted) {
		t.Errorf("%s", got)
	}
}

func TestSlowArgs(t *testing.T) {
	long := strings.Repeat("x", 200)
	many := []string{"MGET"}
	for i := range 40 {
		many = append(many, strconv.Itoa(i))
	}
	text := engine.ProtocolRESP2
	frames := func(b []byte) string { return string(b) }
	for name, test := range map[string]struct {
		raw   string
		proto engine.Protocol
		want  string
	}{
		"text":           {resp("SET", "k", "a b"), text, `["SET" "k" "a b"]`},
		"inline":         {"set k  v\r\n", text, `["set" "k" "v"]`},
		"empty":          {"", text, `[]`},
		"long":           {resp("SET", "k", long), text, `["SET" "k" "` + long[:128] + `... (72 more bytes)"]`},
		"auth":           {resp("auth", "secret"), text, `["auth" "(redacted)"]`},
		"auth, two":      {resp("AUTH", "user", "secret"), text, `["AUTH" "(redacted)" "(redacted)"]`},
		"inline auth":    {"AUTH secret\r\n", text, `["AUTH" "(redacted)"]`},
		"hello":          {resp("HELLO", "3", "SETNAME", "n"), text, `["HELLO" "3" "SETNAME" "n"]`},
		"hello auth":     {resp("HELLO", "3", "auth", "u", "secret"), text, `["HELLO" "3" "auth" "(redacted)" "(redacted)"]`},
		"config set":     {resp("CONFIG", "SET", "timeout", "5", "REQUIREPASS", "secret"), text, `["CONFIG" "SET" "timeout" "5" "REQUIREPASS" "(redacted)"]`},
		"cut off":        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\nval", text, `["SET" "k" "... (1 more arguments)"]`},
		"broken":         {"*3\r\n!\r\n", text, `["... (3 more arguments)"]`},
		"wrong count":    {"*x\r\n$3\r\nGET\r\n", text, `[]`},
		"binary":         {frames(proto.AppendSet(nil, proto.Meta{}, "k", "v")), engine.ProtocolBinary, `["SET" "k" "v"]`},
		"binary MGET":    {frames(proto.AppendMGet(nil, proto.Meta{}, []string{"a", "b"})), engine.ProtocolBinary, `["MGET" "a" "b"]`},
		"binary MSET":    {frames(proto.AppendMSet(nil, proto.Meta{}, []proto.KV{{Key: "a", Value: []byte("b")}})), engine.ProtocolBinary, `["MSET" "a" "b"]`},
		"binary AUTH":    {frames(proto.AppendAuth(nil, proto.Meta{}, proto.Auth{User: "u", Password: "secret"})), engine.ProtocolBinary, `["AUTH" "(redacted)"]`},
		"binary, frames": {frames(proto.AppendSet(nil, proto.Meta{}, "k", "v"))[:proto.HeaderSize], engine.ProtocolBinary, `["SET" "(in several frames)"]`},
		"binary, short":  {"\xF5", engine.ProtocolBinary, `[]`},
	} {
		if got := fmt.Sprintf("%q", slowArgs([]byte(test.raw), test.proto)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	got := slowArgs([]byte(resp(many...)), text)
	if len(got) != slowArgsMax || got[31] != "... (10 more arguments)" || got[30] != "29" {
		t.Errorf("41 arguments: %q", got)
	}
}

// TestSlowArgsAreCutEarly: an argument is never copied as a whole, and a password in several words hides to its end.
func TestSlowArgsAreCutEarly(t *testing.T) {
	big := bytes.Repeat([]byte{'v'}, 1<<20)
	raw := fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(big), big)
	if n := testing.AllocsPerRun(10, func() { slowArgs(raw, engine.ProtocolRESP2) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
	got := slowArgs(raw, engine.ProtocolRESP2)
	if len(got) != 3 || len(got[2]) > 200 || !strings.Contains(got[2], fmt.Sprintf("(%d more bytes)", len(big)-slowArgBytesMax)) {
		t.Errorf("got %.300q", got)
	}
	for _, arg := range slowArgs([]byte("CONFIG SET requirepass two words\r\n"), engine.ProtocolRESP2)[3:] {
		if arg != redacted {
			t.Errorf("%q is shown", arg)
		}
	}
}
