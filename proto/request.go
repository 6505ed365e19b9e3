package proto

import (
	"fmt"
	"iter"
)

// Request is a request taken apart. Fields that the opcode doesn't have are zero. Everything borrows
// from the message.
type Request struct {
	Op Op
	Meta
	Options uint8  // GETX, SETX
	Key     []byte // opcodes with one key
	Value   []byte // SET, SETX; the body of ECHO; the section of STATS
	Delta   int64  // INCR
	Count   uint32 // number of keys or pairs in a multi-key request
	Hello   Hello
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

// Pairs yields the keys and values of MSET in order.
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
	case op == OpExpire && m.Flags&FlagExpiry == 0:
		return &FrameError{Status: EFRAME, ID: m.ID, Msg: "EXPIRE needs an EXPIRY block"}
	}
	return nil
}

func (r *Request) refuse(s Status, format string, args ...any) error {
	return &FrameError{Status: s, ID: r.ID, Msg: fmt.Sprintf(format, args...)}
}

func (r *Request) parseBody(p *blockParser) {
	switch r.Op {
	case OpNoop, OpCount, OpFlush, OpSync:
	case OpHello:
		r.Hello = Hello{Min: p.uint8(), Max: p.uint8(), Features: p.uint32(), Name: string(p.short16())}
	case OpEcho, OpStats:
		r.Value = p.take(len(p.rest))
	case OpSet:
		r.Key = p.short16()
		r.Value = p.take(len(p.rest))
	case OpIncr:
		r.Key = p.short16()
		r.Delta = int64(p.uint64())
	case OpGetX:
		r.Options = p.uint8()
		r.Key = p.short16()
	case OpSetX:
		r.Options = p.uint8()
		r.Key = p.short16()
		r.Value = p.take(len(p.rest))
	case OpMGet, OpMDelete, OpMExists, OpMSet:
		r.parseList(p)
	case OpScan:
		r.Scan = Scan{Cursor: p.uint64(), Count: p.uint32(), Options: p.uint8(),
			Pattern: string(p.short16())}
	default: // one key and nothing else
		r.Key = p.short16()
	}
}

// parseList checks the list once, so that Keys and Pairs can't fail. Nothing is allocated by the
// announced count.
func (r *Request) parseList(p *blockParser) {
	r.Count = p.uint32()
	r.list = p.rest
	for i := uint32(0); i < r.Count && !p.short; i++ {
		p.short16()
		if r.Op == OpMSet {
			p.long32()
		}
	}
}

func (r *Request) checkOptions() error {
	switch {
	case r.Op == OpGetX && r.Options&^getXAll != 0,
		r.Op == OpSetX && r.Options&^setXAll != 0,
		r.Op == OpScan && r.Scan.Options&^scanAll != 0:
		return r.refuse(EARGUMENT, "unknown option bits for %s", r.Op)
	case r.Op == OpSetX && r.Options&(SetXIfAbsent|SetXIfPresent) == SetXIfAbsent|SetXIfPresent:
		return r.refuse(EARGUMENT, "NX and XX exclude each other")
	case r.Op == OpSetX && r.Options&SetXKeepTTL != 0 && r.Flags&FlagExpiry != 0:
		return r.refuse(EARGUMENT, "KEEPTTL and an EXPIRY block exclude each other")
	case r.Op == OpHello && r.Hello.Min > r.Hello.Max:
		return r.refuse(EARGUMENT, "lowest version %d is above highest %d", r.Hello.Min, r.Hello.Max)
	}
	return nil
}
