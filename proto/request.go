package proto

import (
	"bytes"
	"fmt"
	"iter"
)

// Request is a request taken apart. Fields that the opcode doesn't have are zero. Everything borrows
// from the message.
type Request struct {
	Op Op
	Meta
	Options uint8  // opcodes with option bits, but for SCAN
	Key     []byte // opcodes with one key; the first one of RENAME and COPY
	To      []byte // RENAME, COPY: the other key
	Value   []byte // SET, SETX, APPEND, SETRANGE; the body of ECHO; the section of STATS; the delta of INCRFLOAT
	Delta   int64  // INCR
	Start   int64  // GETRANGE: the first byte, negative: from the end
	End     int64  // GETRANGE: the last byte, likewise
	Offset  uint32 // SETRANGE
	Count   uint32 // number of keys or pairs in a multi-key request
	Hello   Hello
	Auth    Auth
	Scan    Scan
	list    []byte // the keys or pairs, already checked
}

// Keys yields the keys of MGET, MDELETE and MEXISTS in order.
func (r *Request) Keys() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		p := blockParser{rest: r.list}
		for range r.Count {
			if !yield(p.short16()) {
				return
			}
		}
	}
}

// Pairs yields the keys and values of MSET and MSETX in order.
func (r *Request) Pairs() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		p := blockParser{rest: r.list}
		for range r.Count {
			if !yield(p.short16(), p.long32()) {
				return
			}
		}
	}
}

// ParseRequest takes a request apart and checks everything that can be checked without a store: the
// opcode, that its blocks belong to it, and that the body has exactly the parts it must have. The error
// is a *FrameError that is never Fatal.
func ParseRequest(m *Message) (Request, error) {
	r := Request{Op: m.Op(), Meta: m.Meta}
	if err := m.checkOp(); err != nil {
		return r, err
	}
	p := blockParser{rest: m.Body}
	r.parseBody(&p)
	if !p.done() {
		return r, r.refuse(EFRAME, "the body of %s has %d bytes, too few or too many", r.Op, len(m.Body))
	}
	return r, r.checkOptions()
}

// checkOp checks what can be told without the body: the opcode, and that it goes with the blocks.
func (m *Message) checkOp() error {
	op := m.Op()
	info, known := ops[op]
	bad := m.Flags & blockFlags &^ info.blocks
	switch {
	case !known:
		return &FrameError{Status: EOPCODE, ID: m.ID, Msg: fmt.Sprintf("version 1 has no %s", op)}
	case bad != 0:
		return &FrameError{Status: EFLAG, ID: m.ID, Msg: fmt.Sprintf("%s takes no block %#02x", op, uint8(bad))}
	case info.needs&^m.Flags != 0:
		return &FrameError{Status: EFRAME, ID: m.ID, Msg: fmt.Sprintf("%s needs an EXPIRY block", op)}
	}
	return nil
}

func (r *Request) refuse(s Status, format string, args ...any) error {
	return &FrameError{Status: s, ID: r.ID, Msg: fmt.Sprintf(format, args...)}
}

func (r *Request) parseBody(p *blockParser) {
	switch r.Op {
	case OpNoop, OpCount, OpFlush, OpSync, OpRandomKey:
	case OpHello:
		r.Hello = Hello{Min: p.uint8(), Max: p.uint8(), Features: p.uint32(), Name: string(p.short16())}
	case OpAuth:
		r.Auth = Auth{User: string(p.short16()), Password: string(p.short16())}
	case OpEcho, OpStats:
		r.Value = p.take(len(p.rest))
	case OpMGet, OpMDelete, OpMExists, OpMSet:
		r.parseList(p)
	case OpMSetX:
		r.Options = p.uint8()
		r.parseList(p)
	case OpScan:
		r.Scan = Scan{Cursor: p.uint64(), Count: p.uint32(), Options: p.uint8(),
			Pattern: string(p.short16())}
	default:
		r.parseKeyed(p)
	}
}

// parseKeyed reads what may stand around the one key that the other opcodes have.
func (r *Request) parseKeyed(p *blockParser) {
	switch r.Op {
	case OpGetX, OpSetX, OpGetEx, OpExpireX, OpRename, OpCopy:
		r.Options = p.uint8()
	case OpGetRange:
		r.Start, r.End = int64(p.uint64()), int64(p.uint64())
	case OpSetRange:
		r.Offset = p.uint32()
	}
	r.Key = p.short16()
	switch r.Op {
	case OpSet, OpSetX, OpAppend, OpSetRange, OpIncrFloat:
		r.Value = p.take(len(p.rest))
	case OpIncr:
		r.Delta = int64(p.uint64())
	case OpRename, OpCopy:
		r.To = p.short16()
	}
}

// parseList checks the list once, so that Keys and Pairs can't fail. Nothing is allocated by the
// announced count.
func (r *Request) parseList(p *blockParser) {
	r.Count = p.uint32()
	r.list = p.rest
	for i := uint32(0); i < r.Count && !p.short; i++ {
		p.short16()
		if r.Op == OpMSet || r.Op == OpMSetX {
			p.long32()
		}
	}
}

func (r *Request) checkOptions() error {
	if (r.Options|r.Scan.Options)&^ops[r.Op].options != 0 {
		return r.refuse(EARGUMENT, "unknown option bits for %s", r.Op)
	}
	switch r.Op {
	case OpSetX:
		return r.checkSetX()
	case OpExpireX:
		return r.checkExpireX()
	case OpGetEx:
		if r.Options&GetExPersist != 0 && r.Flags&FlagExpiry != 0 {
			return r.refuse(EARGUMENT, "PERSIST and an EXPIRY block exclude each other")
		}
	case OpCopy:
		if bytes.Equal(r.Key, r.To) {
			return r.refuse(EARGUMENT, "a key can't be copied to itself")
		}
	case OpHello:
		if r.Hello.Min > r.Hello.Max {
			return r.refuse(EARGUMENT, "lowest version %d is above highest %d", r.Hello.Min, r.Hello.Max)
		}
	}
	return nil
}

func (r *Request) checkSetX() error {
	switch {
	case r.Options&SetXIfAbsent != 0 && r.Options&SetXIfPresent != 0:
		return r.refuse(EARGUMENT, "NX and XX exclude each other")
	case r.Options&SetXKeepTTL != 0 && r.Flags&FlagExpiry != 0:
		return r.refuse(EARGUMENT, "KEEPTTL and an EXPIRY block exclude each other")
	}
	return nil
}

func (r *Request) checkExpireX() error {
	switch {
	case r.Options&ExpireXIfNone != 0 && r.Options&^ExpireXIfNone != 0:
		return r.refuse(EARGUMENT, "NX excludes XX, GT and LT")
	case r.Options&ExpireXIfLater != 0 && r.Options&ExpireXIfSooner != 0:
		return r.refuse(EARGUMENT, "GT and LT exclude each other")
	}
	return nil
}
