package server

import (
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// askBinary sends frames and returns the bodies of as many replies, checking statuses.
func askBinary(t *testing.T, c *client, r *proto.Reader, frame []byte, want proto.Status) proto.Message {
	t.Helper()
	c.send(string(frame))
	m, err := r.Next()
	must(t, err)
	if m.Status() != want {
		t.Fatalf("status %v %q, want %v", m.Status(), m.Body, want)
	}
	return m
}

func TestBinaryHostVerbs(t *testing.T) {
	s := start(t, Options{MaxValue: 1 << 20})
	c := dial(t, s)
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	hello := func(id uint16, min, max uint8, name string) []byte {
		return proto.AppendHello(nil, proto.Meta{ID: id}, proto.Hello{Min: min, Max: max, Name: name})
	}
	m := askBinary(t, c, r, hello(9, 1, 3, "tester"), proto.OK)
	h, err := proto.ParseHelloReply(m.Body)
	must(t, err)
	if m.ID != 9 || h.Version != 1 || h.ValueMax != 1<<20 || h.Connection == 0 || h.Server != "nitrokv "+engine.Version {
		t.Errorf("hello: id %d, %+v", m.ID, h)
	}
	list := dial(t, s).do("CLIENT", "LIST").(string)
	if !strings.Contains(list, "name=tester ") || !strings.Contains(list, "resp=0 ") {
		t.Errorf("CLIENT LIST: %s", list)
	}
	askBinary(t, c, r, hello(1, 2, 3, ""), proto.EUNSUPPORTED)
	askBinary(t, c, r, hello(1, 1, 1, "two words"), proto.EARGUMENT)

	askBinary(t, c, r, proto.AppendSet(nil, proto.Meta{ID: 1}, "k", "v"), proto.OK)
	m = askBinary(t, c, r, proto.AppendStats(nil, proto.Meta{ID: 2}, "keyspace"), proto.OK)
	if string(m.Body) != "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n" {
		t.Errorf("stats: %q", m.Body)
	}
	m = askBinary(t, c, r, proto.AppendStats(nil, proto.Meta{Flags: proto.FlagIntegrity}, ""), proto.OK)
	if !strings.Contains(string(m.Body), "nitrokv_version:") || m.Flags&proto.FlagIntegrity == 0 {
		t.Errorf("stats with integrity: flags %#x, %.60q", m.Flags, m.Body)
	}
	askBinary(t, c, r, proto.AppendStats(nil, proto.Meta{}, "nothing"), proto.EARGUMENT)

	// A quiet FLUSH says nothing; the fence behind it shows that it was done.
	frames := proto.AppendFlush(nil, proto.Meta{ID: 3, Flags: proto.FlagQuiet})
	if m = askBinary(t, c, r, proto.AppendNoop(frames, proto.Meta{ID: 4}), proto.OK); m.ID != 4 {
		t.Errorf("a reply to %d, want the fence's", m.ID)
	}
	askBinary(t, c, r, proto.AppendGet(nil, proto.Meta{}, "k"), proto.ENOTFOUND)
	if m = askBinary(t, c, r, proto.AppendFlush(nil, proto.Meta{ID: 5}), proto.OK); m.ID != 5 || len(m.Body) != 0 {
		t.Errorf("flush: id %d, %q", m.ID, m.Body)
	}
}

func TestBinaryInSingleBytes(t *testing.T) {
	c := dial(t, start(t, Options{}))
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	in := proto.AppendSet(nil, proto.Meta{ID: 1}, "key", "value")
	in = proto.AppendGet(in, proto.Meta{ID: 2}, "key")
	for i := range in {
		c.send(string(in[i : i+1]))
	}
	for id, body := range []string{"", "value"} {
		m, err := r.Next()
		must(t, err)
		if m.Status() != proto.OK || int(m.ID) != id+1 || string(m.Body) != body {
			t.Errorf("reply %d: %v %q", m.ID, m.Status(), m.Body)
		}
	}
}
