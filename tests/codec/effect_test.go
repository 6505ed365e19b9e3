package codec

import (
	"bytes"
	"strconv"

	"github.com/nitrokv/nitrokv/proto"
)

// checkEffect compares what the engine has done for a request with what the Go codec has read in it: a codec that
// takes a key or a value from the wrong place is found out by what another connection sees.
func (s *side) checkEffect(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	status, ok := reply.Status(), reply.Status() == proto.OK
	switch r.Op {
	case proto.OpEcho:
		s.wantBody(r, reply, r.Value)
	case proto.OpGet, proto.OpGetX:
		s.checkRead(r, reply)
	case proto.OpExists, proto.OpTTL, proto.OpExpireTime, proto.OpPersist, proto.OpMemory:
		s.wantFound(r, r.Key, ok)
	case proto.OpSet, proto.OpSetX:
		if ok && r.Flags&proto.FlagExpiry == 0 {
			s.wantValue(r, r.Key, r.Value)
		}
	case proto.OpDelete:
		if status != proto.EVERSION {
			s.wantFound(r, r.Key, false)
		}
	case proto.OpIncr:
		if ok {
			n, err := proto.ParseInt64(reply.Body)
			s.wantNoError(r, err)
			s.wantValue(r, r.Key, strconv.AppendInt(nil, n, 10))
		}
	case proto.OpScan:
		_, err := proto.ParseScanReply(reply.Body, r.Scan.Options)
		if ok {
			s.wantNoError(r, err)
		}
	case proto.OpMGet, proto.OpMSet, proto.OpMSetX, proto.OpMDelete, proto.OpMExists:
		s.checkMultiKey(r, reply)
	default:
		s.checkEdit(r, reply)
	}
}

func (s *side) checkRead(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	value, found := s.get(r.Key)
	s.wantFound(r, r.Key, reply.Status() == proto.OK)
	if !found {
		return
	}
	if got, want := reply.Flags&proto.FlagVersion != 0, r.Options&proto.GetXVersion != 0; got != want {
		s.t.Fatalf("%s %q, options %#02x: VERSION in the reply: %v", r.Op, r.Key, r.Options, got)
	}
	if r.Options&proto.GetXLength == 0 {
		s.wantBody(r, reply, value)
		return
	}
	if n, err := proto.ParseUint32(reply.Body); err != nil || int(n) != len(value) {
		s.t.Fatalf("%s %q: length %d (%v), want %d", r.Op, r.Key, n, err, len(value))
	}
}

func (s *side) checkMultiKey(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	switch r.Op {
	case proto.OpMGet:
		s.checkMGet(r, reply)
	case proto.OpMSet, proto.OpMSetX:
		if reply.Status() != proto.OK {
			return
		}
		last := map[string][]byte{}
		for k, v := range r.Pairs() {
			last[string(k)] = v
		}
		for k, v := range last {
			if r.Flags&proto.FlagExpiry == 0 {
				s.wantValue(r, []byte(k), v)
			}
		}
	case proto.OpMDelete:
		for k := range r.Keys() {
			s.wantFound(r, k, false)
		}
	case proto.OpMExists:
		want := uint32(0)
		for k := range r.Keys() {
			if _, found := s.get(k); found {
				want++
			}
		}
		if n, err := proto.ParseUint32(reply.Body); err != nil || n != want {
			s.t.Fatalf("MEXISTS: %d (%v), want %d", n, err, want)
		}
	}
}

func (s *side) checkMGet(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	values, err := proto.ParseValues(reply.Body)
	s.wantNoError(r, err)
	if values.Count != r.Count {
		s.t.Fatalf("MGET of %d keys: %d values", r.Count, values.Count)
	}
	var keys [][]byte
	for k := range r.Keys() {
		keys = append(keys, k)
	}
	i := 0
	for status, value := range values.All() {
		want, found := s.get(keys[i])
		if found != (status == proto.OK) || !bytes.Equal(value, want) {
			s.t.Fatalf("MGET, key %d %q: %v %q, another connection finds %q (%v)", i, keys[i], status, value, want, found)
		}
		i++
	}
}

func (s *side) wantNoError(r *proto.Request, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("the reply to %s: %v", r.Op, err)
	}
}

func (s *side) wantBody(r *proto.Request, reply *proto.Message, want []byte) {
	s.t.Helper()
	if !bytes.Equal(reply.Body, want) {
		s.t.Fatalf("%s, id %d: replied %q, want %q", r.Op, r.ID, reply.Body, want)
	}
}

func (s *side) wantFound(r *proto.Request, key []byte, want bool) {
	s.t.Helper()
	if _, found := s.get(key); found != want {
		s.t.Fatalf("%s %q, id %d: another connection finds the key: %v, want %v", r.Op, key, r.ID, found, want)
	}
}

func (s *side) wantValue(r *proto.Request, key, want []byte) {
	s.t.Helper()
	if got, found := s.get(key); !found || !bytes.Equal(got, want) {
		s.t.Fatalf("%s %q, id %d: another connection finds %q (%v), want %q", r.Op, key, r.ID, got, found, want)
	}
}
