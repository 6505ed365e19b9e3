package client

import (
	"slices"
	"strconv"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// expire sets an expiry if the conditions of EXPIREX hold.
func (s *fakeServer) expire(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	at := r.Expiry
	if at < 0 {
		at = time.Now().UnixMilli() - at
	}
	has := e.expiry != 0
	failed := r.Options&proto.ExpireXIfNone != 0 && has || r.Options&proto.ExpireXIfSet != 0 && !has ||
		r.Options&proto.ExpireXIfLater != 0 && (!has || at <= e.expiry) ||
		r.Options&proto.ExpireXIfSooner != 0 && has && at >= e.expiry
	if failed {
		return proto.AppendReply(nil, meta, proto.ENOTSTORED, "")
	}
	s.put(r.Key, e.value, at)
	return proto.AppendReply(nil, meta, proto.OK, "")
}

// take answers a value or a part of it.
func (s *fakeServer) take(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	value := e.value
	switch r.Op {
	case proto.OpGetDel:
		delete(s.store, string(r.Key))
	case proto.OpGetEx:
		s.put(r.Key, e.value, r.Expiry)
	case proto.OpGetRange:
		n := int64(len(value))
		from, to := r.Start, r.End
		if from < 0 {
			from = max(from+n, 0)
		}
		if to < 0 {
			to = max(to+n, 0)
		}
		from = min(from, n)
		value = value[from:max(min(to+1, n), from)]
	}
	return proto.AppendReply(nil, meta, proto.OK, value)
}

// edit makes a new value of the old one, which may be missing.
func (s *fakeServer) edit(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	value := slices.Clone(e.value)
	switch r.Op {
	case proto.OpIncrFloat:
		return s.incrFloat(meta, r, e)
	case proto.OpSetRange:
		if end := int(r.Offset) + len(r.Value); end > len(value) && len(r.Value) > 0 {
			value = append(value, make([]byte, end-len(value))...)
		}
		copy(value[min(int(r.Offset), len(value)):], r.Value)
	case proto.OpAppend:
		value = append(value, r.Value...)
	}
	s.put(r.Key, value, e.expiry)
	return proto.AppendUint32Reply(nil, meta, uint32(len(value)))
}

// name gives an entry another name, or one more.
func (s *fakeServer) name(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	_, taken := s.get(r.To)
	if taken && (r.Op == proto.OpCopy) == (r.Options == 0) {
		return proto.AppendReply(nil, meta, proto.ENOTSTORED, "")
	}
	if r.Op == proto.OpRename {
		delete(s.store, string(r.Key))
	}
	s.put(r.To, e.value, e.expiry)
	return proto.AppendReply(nil, meta, proto.OK, "")
}

// incrFloat adds binary fractions, which is enough for a stand-in.
func (s *fakeServer) incrFloat(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	sum := 0.0
	for _, text := range []string{string(e.value), string(r.Value)} {
		if text == "" && e.value == nil {
			continue // a missing key
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return proto.AppendErrorReply(nil, meta, proto.ENOTNUMBER, "")
		}
		sum += f
	}
	text := strconv.FormatFloat(sum, 'f', -1, 64)
	s.put(r.Key, []byte(text), e.expiry)
	return proto.AppendReply(nil, meta, proto.OK, text)
}
