package engine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// usageOf is what a command has done so far; zeros if nothing.
func usageOf(s *Store, name string) CommandUsage {
	for _, u := range s.Usage().Commands {
		if u.Name == name {
			return u
		}
	}
	return CommandUsage{Name: name}
}

// account is send for a host that counts: each Execute took d.
func (c *client) account(in string, d time.Duration) (finished int) {
	c.t.Helper()
	ch, err := c.s.Acquire()
	must(c.t, err)
	defer ch.Release()
	ch.Added(copy(ch.Space(), in))
	for more := true; more; more = ch.More() {
		must(c.t, ch.Prepare(c.ss, c.s.Now()))
		for stop := ch.Execute(c.ss, c.s.Now()); ; stop = ch.Execute(c.ss, c.s.Now()) {
			finished += ch.Account(d)
			ch.ClearOut()
			if stop == StopDone {
				break
			}
			if stop == StopHost {
				ch.AccountHost(uint8(ErrAuthFailed), d)
				ch.Skip()
				finished++
			}
		}
	}
	return finished
}

// What becomes of a request is counted under its verb, whichever protocol it came in.
func TestUsageOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		setup, in string
		command   string
		outcome   Outcome
	}{
		"hit":                  {resp("SET", "k", "v"), resp("GET", "k"), "get", OutcomeOK},
		"miss":                 {"", resp("GET", "k"), "get", OutcomeMiss},
		"miss of a number":     {"", resp("STRLEN", "k"), "strlen", OutcomeMiss},
		"miss of TTL":          {"", resp("TTL", "k"), "ttl", OutcomeMiss},
		"miss of TYPE":         {"", resp("TYPE", "k"), "type", OutcomeMiss},
		"miss of EXISTS":       {"", resp("EXISTS", "k"), "exists", OutcomeMiss},
		"miss of GETDEL":       {"", resp("GETDEL", "k"), "getdel", OutcomeMiss},
		"miss of GETRANGE":     {"", resp("GETRANGE", "k", "0", "1"), "getrange", OutcomeMiss},
		"miss of PERSIST":      {"", resp("PERSIST", "k"), "persist", OutcomeMiss},
		"miss of EXPIRE":       {"", resp("EXPIRE", "k", "9"), "expire", OutcomeMiss},
		"miss of DEL":          {"", resp("DEL", "k"), "del", OutcomeMiss},
		"miss of RANDOMKEY":    {"", resp("RANDOMKEY"), "randomkey", OutcomeMiss},
		"miss of OBJECT":       {"", resp("OBJECT", "ENCODING", "k"), "object", OutcomeMiss},
		"miss of MEMORY":       {"", resp("MEMORY", "USAGE", "k"), "memory", OutcomeMiss},
		"miss that answers OK": {"", resp("DELETE", "k"), "delete", OutcomeMiss},
		"several keys":         {"", resp("MGET", "a", "b"), "mget", OutcomeOK},
		"condition":            {resp("SET", "k", "v"), resp("SET", "k", "w", "NX"), "set", OutcomeMiss},
		"condition, old":       {resp("SET", "k", "v"), resp("SET", "k", "w", "NX", "GET"), "set", OutcomeMiss},
		"old of none":          {"", resp("SET", "k", "w", "GET"), "set", OutcomeOK},
		"SETNX":                {resp("SET", "k", "v"), resp("SETNX", "k", "w"), "setnx", OutcomeMiss},
		"MSETNX":               {resp("SET", "k", "v"), resp("MSETNX", "k", "w"), "msetnx", OutcomeMiss},
		"RENAMENX":             {resp("MSET", "k", "v", "l", "v"), resp("RENAMENX", "k", "l"), "renamenx", OutcomeMiss},
		"RENAME":               {"", resp("RENAME", "k", "l"), "rename", OutcomeMiss},
		"not a number":         {resp("SET", "k", "v"), resp("INCR", "k"), "incr", OutcomeClient},
		"arity":                {"", resp("GET"), "get", OutcomeClient},
		"unknown verb":         {"", resp("FROB", "k"), "unknown", OutcomeClient},
		"inline":               {"", "get k\r\n", "get", OutcomeMiss},
		"malformed":            {"", "*1\r\n!\r\n", "unknown", OutcomeClient},
		"web page":             {"", "POST / HTTP/1.1\r\n", "unknown", OutcomeClient},
		"host's":               {"", resp("AUTH", "secret"), "auth", OutcomeIdentity},
		"binary hit":           {resp("SET", "k", "v"), frame(0x10, "\x01\x00k"), "get", OutcomeOK},
		"binary miss":          {"", frame(0x10, "\x01\x00k"), "get", OutcomeMiss},
		"binary GETX":          {resp("SET", "k", "v"), frame(0x19, "\x00\x01\x00k"), "get", OutcomeOK},
		"binary NOOP":          {"", frame(0x00, ""), "ping", OutcomeOK},
		"binary INCR":          {"", frame(0x14, "\x01\x00k\x01\x00\x00\x00\x00\x00\x00\x00"), "incrby", OutcomeOK},
		"binary MDELETE":       {"", frame(0x22, "\x01\x00\x00\x00\x01\x00k"), "del", OutcomeOK},
		"binary body":          {"", frame(0x10, "\x09\x00k"), "get", OutcomeClient},
		"binary opcode":        {"", frame(0xEE, ""), "unknown", OutcomeClient},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{ManualSteps: true})
			newClient(t, s).send(test.setup)
			n := newClient(t, s).account(test.in, time.Millisecond)
			u := usageOf(s, test.command)
			want := [Outcomes]uint64{}
			want[test.outcome] = 1
			if n != 1 || u.Outcomes != want {
				t.Errorf("%d requests, %s: %v, want %v", n, test.command, u.Outcomes, want)
			}
			if got := u.Latency.Count(); got != 1 || u.Latency.Total != time.Millisecond {
				t.Errorf("%d times, %v together", got, u.Latency.Total)
			}
		})
	}
}

// frame is a binary request with id 1.
func frame(opcode byte, body string) string {
	return string([]byte{0xF5, opcode, 1, 0, 0, byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16)}) + body
}

// Requests that nobody may send, and those that are refused, are errors by their status.
func TestUsageErrors(t *testing.T) {
	s := openStore(t, Options{ManualSteps: true})
	c := newClient(t, s)
	c.ss.SetLocked(true)
	c.account(resp("GET", "k"), 0)
	c.ss.SetLocked(false)
	c.account(resp("INCRBY", "k", "x")+resp("FROB")+resp("GET", "k"), 0)
	must(t, s.SetMaxMemory(1))
	c.account(resp("SET", "k", strings.Repeat("x", 100)), 0)
	got := s.Usage().Errors
	want := map[Error]uint64{ErrAuthRequired: 1, ErrNotNumber: 1, ErrArgument: 1, ErrMaxMemory: 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if u := usageOf(s, "set"); u.Outcomes[OutcomeNotApplied] != 1 {
		t.Errorf("a SET without memory: %v", u.Outcomes)
	}
}

// The requests of a pipeline share its time, and each is counted once: mixed verbs, and more of them than one chunk or one
// reply buffer takes.
func TestUsagePipeline(t *testing.T) {
	s := openStore(t, Options{ManualSteps: true})
	c := newClient(t, s)
	var in strings.Builder
	verbs := []string{"GET", "STRLEN", "TTL", "TYPE", "EXISTS"}
	const rounds = 60 // 300 requests: two chunks
	for range rounds {
		for _, v := range verbs {
			in.WriteString(resp(v, "k"))
		}
	}
	c.send(resp("SET", "k", strings.Repeat("v", 3000))) // 180 KB of replies: several buffers
	if n := c.account(in.String(), 100*time.Microsecond); n != rounds*len(verbs) {
		t.Fatalf("%d requests were counted, want %d", n, rounds*len(verbs))
	}
	for _, v := range verbs {
		u := usageOf(s, strings.ToLower(v))
		if u.Outcomes[OutcomeOK] != rounds || u.Latency.Count() != rounds {
			t.Errorf("%s: %v, %d times, want %d", v, u.Outcomes, u.Latency.Count(), rounds)
		}
		if u.Latency.Total <= 0 || u.Latency.Total > time.Millisecond {
			t.Errorf("%s took %v together", v, u.Latency.Total)
		}
	}
}

// A large value goes out in parts; its request is counted when it is done, and its time is not lost.
func TestUsageOfBigReply(t *testing.T) {
	s := openStore(t, Options{ManualSteps: true})
	c := newClient(t, s)
	must(t, s.Set([]byte("k"), make([]byte, 3<<20)))
	if n := c.account(resp("GET", "k")+resp("GET", "k"), time.Millisecond); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	if u := usageOf(s, "get"); u.Outcomes[OutcomeOK] != 2 || u.Latency.Count() != 2 {
		t.Errorf("%v, %d times", u.Outcomes, u.Latency.Count())
	}
}

// Many goroutines count at once, on stripes that may be shared; nothing is lost. (Run with -race.)
func TestUsageConcurrent(t *testing.T) {
	s := openStore(t, Options{})
	const clients, each = 8, 500
	var wg sync.WaitGroup
	for range clients {
		c := newClient(t, s)
		wg.Go(func() {
			for range each {
				c.account(resp("SET", "k", "v")+resp("GET", "k"), time.Microsecond)
				s.Usage()
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"set", "get"} {
		if u := usageOf(s, name); u.Outcomes[OutcomeOK] != clients*each {
			t.Errorf("%s: %v, want %d", name, u.Outcomes, clients*each)
		}
	}
}

// Request gives back the bytes in which each request came.
func TestChunkRequest(t *testing.T) {
	s := openStore(t, Options{ManualSteps: true})
	c := newClient(t, s)
	ch, err := s.Acquire()
	must(t, err)
	defer ch.Release()
	all := []string{resp("SET", "k", "v"), "get k\r\n", "set k \"a b\"\r\n", resp("GET", "k")}
	ch.Added(copy(ch.Space(), strings.Join(all, "")+"\r\n*2\r\n$3\r\nGET"))
	must(t, ch.Prepare(c.ss, s.Now()))
	want := append(all[:2:2], "set k a b  \r\n", all[3]+"\r\n")
	for i := range want {
		if got := string(ch.Request(i)); got != want[i] {
			t.Errorf("request %d is %q, want %q", i, got, want[i])
		}
	}
	if stop := ch.Execute(c.ss, s.Now()); stop != StopDone || ch.Next() != len(want) {
		t.Errorf("stop %v before request %d", stop, ch.Next())
	}
	ch.ClearOut()
}

// BenchmarkAccount is what counting costs a request without pipelining, besides what the engine does: reading the clock,
// and adding to the counters.
func BenchmarkAccount(b *testing.B) {
	s := openStore(b, Options{ManualSteps: true})
	c := newClient(b, s)
	ch, err := s.Acquire()
	must(b, err)
	defer ch.Release()
	ch.Added(copy(ch.Space(), resp("GET", "k")))
	must(b, ch.Prepare(c.ss, s.Now()))
	if stop := ch.Execute(c.ss, s.Now()); stop != StopDone {
		b.Fatal(stop)
	}
	ch.ClearOut()
	mark := s.Elapsed()
	for b.Loop() {
		ch.c.tally_count = 1
		now := s.Elapsed()
		ch.Account(now - mark)
		mark = now
	}
}
