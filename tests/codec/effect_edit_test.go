package codec

import (
	"bytes"

	"github.com/nitrokv/nitrokv/proto"
)

// checkEdit is checkEffect for the requests that read or change a part of a value, its expiry or its name.
func (s *side) checkEdit(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	ok := reply.Status() == proto.OK
	switch r.Op {
	case proto.OpGetDel:
		s.wantFound(r, r.Key, false)
	case proto.OpGetEx:
		s.checkGetEx(r, reply)
	case proto.OpGetRange:
		value, found := s.get(r.Key)
		if s.wantFound(r, r.Key, ok); found {
			s.wantBody(r, reply, part(value, r.Start, r.End))
		}
	case proto.OpAppend, proto.OpSetRange:
		if ok {
			s.checkChange(r, reply)
		}
	case proto.OpIncrFloat:
		if ok {
			s.wantValue(r, r.Key, reply.Body)
		}
	case proto.OpExpireX:
		s.wantFound(r, r.Key, ok && future(r.Expiry) || reply.Status() == proto.ENOTSTORED)
	case proto.OpRename, proto.OpCopy:
		s.checkNames(r, reply.Status())
	case proto.OpRandomKey:
		if ok {
			s.wantFound(r, reply.Body, true)
		}
	}
}

// future tells an expiry that removes nothing now.
func future(expiry int64) bool { return expiry < 0 || expiry > now }

func (s *side) checkGetEx(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	if r.Flags&proto.FlagExpiry != 0 && !future(r.Expiry) {
		s.wantFound(r, r.Key, false)
		return
	}
	value, found := s.get(r.Key)
	if s.wantFound(r, r.Key, reply.Status() == proto.OK); found {
		s.wantBody(r, reply, value)
	}
}

// part is GETRANGE, written down once more.
func part(value []byte, start, end int64) []byte {
	n := int64(len(value))
	if start < 0 && end < 0 && start > end {
		return nil
	}
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	if end = min(end, n-1); start > end {
		return nil
	}
	return value[start : end+1]
}

// checkChange looks for the bytes of APPEND and SETRANGE where they belong.
func (s *side) checkChange(r *proto.Request, reply *proto.Message) {
	s.t.Helper()
	n, err := proto.ParseUint32(reply.Body)
	s.wantNoError(r, err)
	value, found := s.get(r.Key)
	if int(n) != len(value) || !found && (r.Op == proto.OpAppend || len(r.Value) > 0) {
		s.t.Fatalf("%s %q, id %d: replied %d, another connection finds %q (%v)", r.Op, r.Key, r.ID, n, value, found)
	}
	if len(r.Value) == 0 {
		return
	}
	at := len(value) - len(r.Value)
	if r.Op == proto.OpSetRange {
		at = int(r.Offset)
	}
	if at < 0 || !bytes.HasPrefix(value[min(at, len(value)):], r.Value) {
		s.t.Fatalf("%s %q, id %d: %q is not at %d in %q", r.Op, r.Key, r.ID, r.Value, at, value)
	}
}

func (s *side) checkNames(r *proto.Request, status proto.Status) {
	s.t.Helper()
	same := bytes.Equal(r.Key, r.To)
	switch {
	case status == proto.ENOTFOUND:
		s.wantFound(r, r.Key, false)
		return
	case status == proto.ENOTSTORED || r.Op == proto.OpCopy || same:
		s.wantFound(r, r.Key, true)
	default:
		s.wantFound(r, r.Key, false)
	}
	s.wantFound(r, r.To, true)
	if status == proto.OK && r.Op == proto.OpCopy {
		value, _ := s.get(r.Key)
		s.wantValue(r, r.To, value)
	}
}
