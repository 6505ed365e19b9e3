package engine

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// client plays a connection: it feeds bytes to a session and collects the replies.
type client struct {
	t  testing.TB
	s  *Store
	ss *Session
}

func newClient(t testing.TB, s *Store) *client {
	ss, err := s.NewSession(7)
	must(t, err)
	t.Cleanup(ss.Close)
	return &client{t: t, s: s, ss: ss}
}

// send returns the replies to a piece of input that fits a chunk, and what the chunk has left of it.
func (c *client) send(in string) (out string, left int) {
	ch, err := c.s.Acquire()
	must(c.t, err)
	defer ch.Release()
	ch.Added(copy(ch.Space(), in))
	return c.run(ch), ch.Unread()
}

func (c *client) run(ch *Chunk) string {
	var out []byte
	for more := true; more; more = ch.More() {
		must(c.t, ch.Prepare(c.ss, c.s.Now()))
		for stop := ch.Execute(c.ss, c.s.Now()); stop != StopDone; stop = ch.Execute(c.ss, c.s.Now()) {
			switch stop {
			case StopHost:
				must(c.t, ch.Reply(fmt.Appendf(nil, "+host %d %s\r\n", ch.HostVerb(), ch.HostArg(0))))
				ch.Skip()
			case StopBig:
				out = append(append(out, ch.Out()...), ch.Big()...)
				ch.ClearOut()
			case StopOut:
				out = append(out, ch.Out()...)
				ch.ClearOut()
			case StopRoom:
				must(c.t, c.s.MakeRoom(ch.RoomBytes()))
			case StopBusy:
			default:
				c.t.Fatalf("stop %d", stop)
			}
		}
	}
	out = append(out, ch.Out()...)
	ch.ClearOut()
	return string(out)
}

func resp(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func TestChunkPipeline(t *testing.T) { everyMode(t, chunkPipeline) }

func chunkPipeline(t *testing.T, mode Mode) {
	c := newClient(t, modeStore(t, mode, Options{}))
	out, left := c.send(resp("SET", "k", "v") + resp("GET", "k") + "GET nothing\r\n" + resp("INFO") + resp("PING") +
		"*2\r\n$3\r\nGE")
	want := fmt.Sprintf("+OK\r\n$1\r\nv\r\n$-1\r\n+host %d INFO\r\n+PONG\r\n", HostInfo)
	if out != want || left != len("*2\r\n$3\r\nGE") {
		t.Errorf("got %q with %d bytes left, want %q", out, left, want)
	}
	if c.ss.Protocol() != ProtocolRESP2 || c.ss.Requests() != 4 {
		t.Errorf("protocol %d, %d requests", c.ss.Protocol(), c.ss.Requests())
	}
}

// TestChunkStash splits a request at every byte, with the chunk given back in between.
func TestChunkStash(t *testing.T) { everyMode(t, chunkStash) }

func chunkStash(t *testing.T, mode Mode) {
	c := newClient(t, modeStore(t, mode, Options{}))
	in := resp("SET", "key", "value") + resp("GET", "key")
	for cut := 1; cut < len(in); cut++ {
		ch, err := c.s.Acquire()
		must(t, err)
		ch.Added(copy(ch.Space(), in[:cut]))
		out := c.run(ch)
		stash := make([]byte, StashMax)
		unread := ch.Unread()
		n := ch.Stash(stash)
		if n != unread {
			t.Fatalf("cut at %d: %d of %d bytes stashed", cut, n, unread)
		}
		ch.Release()
		rest, _ := c.send(string(stash[:n]) + in[cut:])
		if out += rest; out != "+OK\r\n$5\r\nvalue\r\n" {
			t.Fatalf("cut at %d: %q", cut, out)
		}
	}
}

// TestChunkGrows sends a value larger than the input buffer, in the pieces that the buffer has room for, and
// gets it back.
func TestChunkGrows(t *testing.T) { everyMode(t, chunkGrows) }

func chunkGrows(t *testing.T, mode Mode) {
	c := newClient(t, modeStore(t, mode, Options{}))
	value := strings.Repeat("0123456789abcdef", 200_000)
	in := []byte(resp("SET", "k", value) + resp("GET", "k"))
	ch, err := c.s.Acquire()
	must(t, err)
	defer ch.Release()
	var out strings.Builder
	for len(in) > 0 {
		n := copy(ch.Space(), in)
		ch.Added(n)
		in = in[n:]
		out.WriteString(c.run(ch))
		ch.Compact()
		if len(ch.Space()) == 0 {
			must(t, ch.Grow())
		}
	}
	if want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(value), value); out.String() != want {
		t.Errorf("%d bytes back, want %d", out.Len(), len(want))
	}
}

func TestChunkPoolIsBounded(t *testing.T) {
	s := openStore(t, Options{})
	var chunks []*Chunk
	for range 200 {
		ch, err := s.Acquire()
		must(t, err)
		chunks = append(chunks, ch)
	}
	for _, ch := range chunks {
		ch.Release()
	}
	kept := len(s.chunks.idle)
	for i := range s.gate.stripes {
		if s.gate.stripes[i].free.Load() != nil {
			kept++
		}
	}
	if limit := s.chunks.limit + len(s.gate.stripes); kept > limit || kept == 0 {
		t.Errorf("%d idle chunks, want 1 to %d", kept, limit)
	}
}

// TestChunkAllocatesNothing is the whole path of a request except the system calls.
func TestChunkAllocatesNothing(t *testing.T) { everyMode(t, chunkAllocatesNothing) }

func chunkAllocatesNothing(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{ManualSteps: true})
	c := newClient(t, s)
	in := []byte(resp("SET", "k", "v") + resp("GET", "k"))
	want := []byte("+OK\r\n$1\r\nv\r\n")
	n := testing.AllocsPerRun(1000, func() {
		ch, err := s.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		ch.Added(copy(ch.Space(), in))
		now := s.Now()
		if ch.Prepare(c.ss, now) != nil || ch.Execute(c.ss, now) != StopDone || !bytes.Equal(ch.Out(), want) {
			t.Fatal("wrong replies")
		}
		ch.ClearOut()
		ch.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations per round", n)
	}
}

func TestChunksOfManyClients(t *testing.T) { everyMode(t, chunksOfManyClients) }

func chunksOfManyClients(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{Segments: 2})
	var wg sync.WaitGroup
	for w := range 8 {
		c := newClient(t, s)
		wg.Go(func() {
			for i := range 500 {
				key, value := fmt.Sprintf("%d", w), fmt.Sprintf("value %d", i)
				out, _ := c.send(resp("SET", key, value) + resp("GET", key))
				if want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(value), value); out != want {
					t.Errorf("client %d: %q, want %q", w, out, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestCommandsAreSortedAndComplete(t *testing.T) {
	last := ""
	for _, c := range Commands() {
		if c.Name <= last || c.Name != strings.ToLower(c.Name) {
			t.Errorf("%q after %q", c.Name, last)
		}
		last = c.Name
		if c.Arity == 0 || c.Group == "" || c.Summary == "" {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if last == "" {
		t.Error("no commands")
	}
}

// TestExecuteComesBackFromLongKeys: each of the names costs the pattern tens of thousands of steps, all of them more than
// what Execute does before it asks its caller, who may then give the request up.
func TestExecuteComesBackFromLongKeys(t *testing.T) {
	s := openStore(t, Options{})
	c := newClient(t, s)
	name := strings.Repeat("a", 900)
	for i := range 10000 {
		must(t, s.Set(fmt.Appendf(nil, "%s%d", name, i), nil))
	}
	ch, err := s.Acquire()
	must(t, err)
	defer ch.Release()
	ch.Added(copy(ch.Space(), "KEYS *"+strings.Repeat("a", 60)+"b*\r\n"))
	must(t, ch.Prepare(c.ss, s.Now()))
	if stop := ch.Execute(c.ss, s.Now()); stop != StopBusy || len(ch.Out()) != 0 {
		t.Errorf("it stopped with %d and %q, want %d", stop, ch.Out(), StopBusy)
	}
}
