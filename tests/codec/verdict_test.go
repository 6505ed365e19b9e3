package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nitrokv/nitrokv/proto"
)

// verdict is what the Go codec makes of the next message of a stream.
type verdict struct {
	end     int            // the message ends here in the stream
	id      uint16         // to answer under
	refused proto.Status   // OK: accepted
	request *proto.Request // if it could be taken apart, valid until the next verdict; nil if not even its frame could
	lost    bool           // the framing is lost: nothing after it can be read
	text    string         // in words
}

// judge reads a stream with the Go codec, as a server with the limits of the store would.
type judge struct {
	src    *bytes.Reader
	reader *proto.Reader
}

func newJudge(stream []byte) *judge {
	src := bytes.NewReader(stream)
	limits := proto.Limits{Message: valueMax + proto.KeyMax + 64<<10}
	return &judge{src: src, reader: proto.NewReader(src, proto.KindRequest, limits)}
}

// next returns the verdict on the next message; false at the end of the stream, which may be inside of one.
func (j *judge) next() (verdict, bool) {
	m, err := j.reader.Next()
	v := verdict{end: int(j.src.Size()) - j.src.Len() - j.reader.Buffered()}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return v, false
	}
	if err == nil {
		var r proto.Request
		r, err = proto.ParseRequest(&m)
		v.id, v.request = m.ID, &r
		v.text = fmt.Sprintf("%s, id %d", r.Op, m.ID)
	}
	var bad *proto.FrameError
	if errors.As(err, &bad) {
		v.id, v.refused, v.lost, v.text = bad.ID, bad.Status, bad.Fatal, bad.Error()
	} else if err == nil {
		v.refused = limit(v.request)
	}
	return v, true
}

// limit is the status of a well-formed request that a store can't carry out, whatever it holds; OK if there is none.
func limit(r *proto.Request) proto.Status {
	large := false
	switch r.Op {
	case proto.OpSet, proto.OpSetX, proto.OpAppend, proto.OpSetRange:
		large = len(r.Value) > valueMax
	case proto.OpMSet, proto.OpMSetX:
		for _, value := range r.Pairs() {
			large = large || len(value) > valueMax
		}
	}
	switch {
	case r.Count > keysMax:
		return proto.ELIMIT
	case large:
		return proto.EVALUESIZE
	case r.Flags&proto.FlagDurability >= proto.DurabilityEverySec: // there is no log
		return proto.EUNSUPPORTED
	}
	return proto.OK
}

// further are the statuses beside OK that an accepted request may get: section 5 of the specification.
var further = map[proto.Op][]proto.Status{
	proto.OpGet:        {proto.ENOTFOUND},
	proto.OpSet:        {proto.EVERSION},
	proto.OpDelete:     {proto.ENOTFOUND, proto.EVERSION},
	proto.OpExists:     {proto.ENOTFOUND},
	proto.OpIncr:       {proto.ENOTNUMBER, proto.EOVERFLOW},
	proto.OpExpire:     {proto.ENOTFOUND},
	proto.OpTTL:        {proto.ENOTFOUND},
	proto.OpPersist:    {proto.ENOTFOUND},
	proto.OpMemory:     {proto.ENOTFOUND},
	proto.OpGetX:       {proto.ENOTFOUND},
	proto.OpSetX:       {proto.ENOTSTORED, proto.EVERSION},
	proto.OpGetDel:     {proto.ENOTFOUND},
	proto.OpGetEx:      {proto.ENOTFOUND},
	proto.OpAppend:     {proto.EVALUESIZE},
	proto.OpGetRange:   {proto.ENOTFOUND},
	proto.OpSetRange:   {proto.EVALUESIZE},
	proto.OpMSetX:      {proto.ENOTSTORED},
	proto.OpScan:       {proto.ELIMIT}, // a pattern that costs too much
	proto.OpRandomKey:  {proto.ENOTFOUND},
	proto.OpIncrFloat:  {proto.ENOTNUMBER, proto.EOVERFLOW, proto.EVALUESIZE},
	proto.OpExpireX:    {proto.ENOTFOUND, proto.ENOTSTORED},
	proto.OpExpireTime: {proto.ENOTFOUND},
	proto.OpRename:     {proto.ENOTFOUND, proto.ENOTSTORED},
	proto.OpCopy:       {proto.ENOTFOUND, proto.ENOTSTORED},
}

// refuses reports whether a request that Go refuses may be refused so. Which texts are numbers is for the engine alone
// to say, which looks at INCRFLOAT's delta before it looks for a log.
func (v *verdict) refuses(s proto.Status) bool {
	return s == v.refused ||
		s == proto.ENOTNUMBER && v.refused == proto.EUNSUPPORTED && v.request.Op == proto.OpIncrFloat
}

// allows reports whether a request that was accepted may be answered so.
func (v *verdict) allows(s proto.Status) bool {
	return s == proto.OK || slices.Contains(further[v.request.Op], s)
}

// silent reports whether a request may go without a reply.
func (v *verdict) silent() bool {
	return v.refused == proto.OK && v.request.Flags&proto.FlagQuiet != 0
}
