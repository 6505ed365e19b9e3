package client

import (
	"math"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// request is what a call asks for, kept on the caller's stack until the call ends, so that it can be
// encoded again if it has to be repeated.
type request struct {
	op      proto.Op
	key     string
	to      string // the other key of RENAME and COPY
	value   []byte // or the text of a number
	keys    []string
	pairs   []proto.KV
	scan    proto.Scan
	delta   int64       // or a range's start, or an offset
	end     int64       // of a range
	flags   proto.Flags // of the blocks below
	version uint64
	expiry  int64
	options uint8
}

func (r *request) firstKey() string {
	switch {
	case len(r.keys) > 0:
		return r.keys[0]
	case len(r.pairs) > 0:
		return r.pairs[0].Key
	}
	return r.key
}

// append encodes the request. CHECKLIST: an opcode that a method uses needs its case here.
func (r *request) append(dst []byte, m proto.Meta) []byte {
	m.Flags |= r.flags
	m.Version, m.Expiry = r.version, r.expiry
	switch r.op {
	case proto.OpGet:
		return proto.AppendGet(dst, m, r.key)
	case proto.OpSet:
		return proto.AppendSet(dst, m, r.key, r.value)
	case proto.OpGetX:
		return proto.AppendGetX(dst, m, r.options, r.key)
	case proto.OpSetX:
		return proto.AppendSetX(dst, m, r.options, r.key, r.value)
	case proto.OpDelete:
		return proto.AppendDelete(dst, m, r.key)
	case proto.OpExists:
		return proto.AppendExists(dst, m, r.key)
	case proto.OpIncr:
		return proto.AppendIncr(dst, m, r.key, r.delta)
	case proto.OpExpire:
		return proto.AppendExpire(dst, m, r.key, r.expiry)
	case proto.OpTTL:
		return proto.AppendTTL(dst, m, r.key)
	case proto.OpPersist:
		return proto.AppendPersist(dst, m, r.key)
	case proto.OpMemory:
		return proto.AppendMemory(dst, m, r.key)
	case proto.OpExpireX:
		return proto.AppendExpireX(dst, m, r.options, r.key, r.expiry)
	case proto.OpExpireTime:
		return proto.AppendExpireTime(dst, m, r.key)
	}
	return r.appendEdit(dst, m)
}

// appendEdit encodes what changes or reads a part of a value, and what takes a key away.
func (r *request) appendEdit(dst []byte, m proto.Meta) []byte {
	switch r.op {
	case proto.OpGetDel:
		return proto.AppendGetDel(dst, m, r.key)
	case proto.OpGetEx:
		return proto.AppendGetEx(dst, m, r.options, r.key)
	case proto.OpAppend:
		return proto.AppendAppend(dst, m, r.key, r.value)
	case proto.OpGetRange:
		return proto.AppendGetRange(dst, m, r.key, r.delta, r.end)
	case proto.OpSetRange:
		return proto.AppendSetRange(dst, m, r.key, uint32(r.delta), r.value)
	case proto.OpIncrFloat:
		return proto.AppendIncrFloat(dst, m, r.key, r.value)
	case proto.OpRename:
		return proto.AppendRename(dst, m, r.options, r.key, r.to)
	case proto.OpCopy:
		return proto.AppendCopy(dst, m, r.options, r.key, r.to)
	}
	return r.appendOther(dst, m)
}

// appendOther encodes what doesn't name exactly one key.
func (r *request) appendOther(dst []byte, m proto.Meta) []byte {
	switch r.op {
	case proto.OpMGet:
		return proto.AppendMGet(dst, m, r.keys)
	case proto.OpMSet:
		return proto.AppendMSet(dst, m, r.pairs)
	case proto.OpMSetX:
		return proto.AppendMSetX(dst, m, r.options, r.pairs)
	case proto.OpMDelete:
		return proto.AppendMDelete(dst, m, r.keys)
	case proto.OpMExists:
		return proto.AppendMExists(dst, m, r.keys)
	case proto.OpScan:
		return proto.AppendScan(dst, m, r.scan)
	case proto.OpEcho:
		return proto.AppendEcho(dst, m, r.value)
	case proto.OpStats:
		return proto.AppendStats(dst, m, string(r.value))
	case proto.OpCount:
		return proto.AppendCount(dst, m)
	case proto.OpFlush:
		return proto.AppendFlush(dst, m)
	case proto.OpSync:
		return proto.AppendSync(dst, m)
	case proto.OpRandomKey:
		return proto.AppendRandomKey(dst, m)
	}
	return proto.AppendNoop(dst, m)
}

// size estimates the encoded length: exact in what can be large.
func (r *request) size() int {
	n := 64 + len(r.key) + len(r.to) + len(r.value) + len(r.scan.Pattern)
	for _, k := range r.keys {
		n += 2 + len(k)
	}
	for i := range r.pairs {
		n += 6 + len(r.pairs[i].Key) + len(r.pairs[i].Value)
	}
	return n
}

// check refuses what the protocol can't express or the server has announced to refuse, before anything is
// sent. valueMax is 0 while no server has been asked.
func (r *request) check(valueMax uint32) error {
	long := len(r.key) > proto.KeyMax || len(r.to) > proto.KeyMax || len(r.scan.Pattern) > proto.KeyMax
	for _, k := range r.keys {
		long = long || len(k) > proto.KeyMax
	}
	big := tooBig(r.value, valueMax)
	for i := range r.pairs {
		long = long || len(r.pairs[i].Key) > proto.KeyMax
		big = big || tooBig(r.pairs[i].Value, valueMax)
	}
	switch {
	case long:
		return &Error{Op: r.op.String(), Key: r.firstKey(), Status: proto.EKEYSIZE}
	case big:
		return &Error{Op: r.op.String(), Key: r.firstKey(), Status: proto.EVALUESIZE}
	case valueMax != 0 && uint64(r.size()) > uint64(valueMax)+bodyExtra:
		return &Error{Op: r.op.String(), Key: r.firstKey(), Status: proto.ELIMIT}
	}
	return nil
}

// bodyExtra is how much longer than the largest value a whole request may be.
const bodyExtra = proto.KeyMax + 64<<10

func tooBig(value []byte, valueMax uint32) bool {
	if valueMax == 0 {
		valueMax = math.MaxUint32
	}
	return uint64(len(value)) > uint64(valueMax)
}

// relativeExpiry turns a duration into an EXPIRY block: milliseconds rounded up, so that no key lives
// shorter than asked. It reports false for a duration that is not positive.
func relativeExpiry(ttl time.Duration) (int64, bool) {
	ms := int64(ttl / time.Millisecond)
	if ttl%time.Millisecond > 0 {
		ms++
	}
	return -ms, ttl > 0
}

// absoluteExpiry turns a time into an EXPIRY block. It reports false for a time that the protocol can't
// hold: up to 1970.
func absoluteExpiry(at time.Time) (int64, bool) {
	ms := at.UnixMilli()
	return ms, ms > 0
}

// expiryTime is the other direction: 0 means never, the zero time.
func expiryTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
