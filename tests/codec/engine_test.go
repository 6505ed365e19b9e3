package codec

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// The limits of the store are small, so that short inputs reach them.
const (
	valueMax = 1000
	keysMax  = 8 // of one request
)

const now = 1_700_000_000_000 // Unix ms; it stands still, so that nothing expires between two looks at it

// side is the C codec with a store behind it.
type side struct {
	t      *testing.T
	store  *engine.Store
	client *conn // gets the stream
	probe  *conn // looks what the stream has done
}

// conn is one connection to a side, without a socket.
type conn struct {
	side    *side
	session *engine.Session
	chunk   *engine.Chunk
	closed  bool // the engine wants no more
}

func openSide(t *testing.T) *side {
	t.Helper()
	store, err := engine.Open(engine.Options{Segments: 1, MaxValue: valueMax, MaxArgs: keysMax, ManualSteps: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &side{t: t, store: store}
	s.client, s.probe = s.connect(1), s.connect(2)
	return s
}

func (s *side) close() {
	for _, c := range []*conn{s.client, s.probe} {
		c.chunk.Release()
		c.session.Close()
	}
	if err := s.store.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *side) connect(id uint64) *conn {
	s.t.Helper()
	session, err := s.store.NewSession(id)
	if err != nil {
		s.t.Fatal(err)
	}
	session.SetProtocol(engine.ProtocolBinary) // decided before, so that the first byte can be wrong too
	chunk, err := s.store.Acquire()
	if err != nil {
		s.t.Fatal(err)
	}
	return &conn{side: s, session: session, chunk: chunk}
}

// get is what another connection finds under a key now.
func (s *side) get(key []byte) (value []byte, found bool) {
	s.t.Helper()
	replies := s.probe.feed(proto.AppendGet(nil, proto.Meta{}, key))
	if len(replies) != 1 || replies[0].Status() != proto.OK && replies[0].Status() != proto.ENOTFOUND {
		s.t.Fatalf("GET %q by another connection: replies %v", key, replies)
	}
	return replies[0].Body, replies[0].Status() == proto.OK
}

// feed hands over bytes as they come from a socket and returns the replies to them.
func (c *conn) feed(b []byte) []proto.Message {
	t := c.side.t
	t.Helper()
	var out bytes.Buffer
	for len(b) > 0 && !c.closed {
		n := copy(c.chunk.Space(), b)
		b = b[n:]
		c.chunk.Added(n)
		c.serve(&out)
		c.chunk.Compact()
		if len(c.chunk.Space()) == 0 {
			if err := c.chunk.Grow(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return readReplies(t, &out)
}

// serve runs what has arrived, as the server's connection loop does.
func (c *conn) serve(out *bytes.Buffer) {
	t := c.side.t
	t.Helper()
	for more := true; more; more = c.chunk.More() && !c.closed {
		if err := c.chunk.Prepare(c.session, now); err != nil {
			t.Fatal(err)
		}
		for stop := engine.StopOut; stop != engine.StopDone; {
			stop = c.chunk.Execute(c.session, now)
			out.Write(c.chunk.Out())
			c.chunk.ClearOut()
			switch stop {
			case engine.StopBig:
				out.Write(c.chunk.Big())
			case engine.StopHost:
				c.host()
			}
		}
		c.closed = c.chunk.Closing()
	}
}

// host answers what the engine leaves to its host with an empty OK: FLUSH takes place, and the contents of HELLO and
// STATS are not the codec's business.
func (c *conn) host() {
	t := c.side.t
	t.Helper()
	flags := proto.Flags(c.chunk.HostFlags())
	if c.chunk.HostVerb() == engine.HostFlush {
		if err := c.side.store.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if flags&proto.FlagQuiet == 0 {
		meta := proto.Meta{ID: c.chunk.HostID(), Flags: flags & proto.FlagIntegrity}
		if err := c.chunk.Reply(proto.AppendReply(nil, meta, proto.OK, "")); err != nil {
			t.Fatal(err)
		}
	}
	c.chunk.Skip()
}

// readReplies takes the engine's output apart, which must be whole.
func readReplies(t *testing.T, out io.Reader) []proto.Message {
	t.Helper()
	var replies []proto.Message
	r := proto.NewReader(out, proto.KindReply, proto.Limits{})
	for {
		m, err := r.Next()
		if err == io.EOF {
			return replies
		}
		if err != nil {
			t.Fatalf("the engine's replies can't be read, after %d of them: %v", len(replies), err)
		}
		m.Body = slices.Clone(m.Body)
		replies = append(replies, m)
	}
}
