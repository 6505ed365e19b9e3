package load

import (
	"encoding/binary"

	"github.com/nitrokv/nitrokv/proto"
)

// binaryWire is the binary protocol of proto/PROTOCOL.md, as far as GET and SET need it. It encodes from templates
// rather than through package proto, because this is where the generator's own cost is decided; TestBinaryWire
// compares the two.
type binaryWire struct {
	get [binarySetValue]byte
	set [binarySetValue]byte // without value and length
}

// Offsets in a request.
const (
	binaryID       = 2
	binaryLength   = 5
	binaryKey      = proto.HeaderSize + 2
	binarySetValue = binaryKey + keySize
)

// newBinaryWire makes the templates; every request has the durability bits of flags, every key the prefix.
func newBinaryWire(flags proto.Flags, prefix string) *binaryWire {
	var w binaryWire
	m := proto.Meta{Flags: flags}
	copy(w.get[:], proto.AppendGet(nil, m, prefix+keyZero))
	copy(w.set[:], proto.AppendSet(nil, m, prefix+keyZero, ""))
	return &w
}

func (w *binaryWire) ordered() bool { return false }

func (w *binaryWire) appendGet(dst []byte, id uint16, key uint64) []byte {
	at := len(dst)
	dst = append(dst, w.get[:]...)
	binary.LittleEndian.PutUint16(dst[at+binaryID:], id)
	putKey(dst[at+binaryKey:], key)
	return dst
}

func (w *binaryWire) appendSet(dst []byte, id uint16, key uint64, value []byte) []byte {
	at := len(dst)
	dst = append(dst, w.set[:]...)
	binary.LittleEndian.PutUint16(dst[at+binaryID:], id)
	length := binarySetValue - proto.HeaderSize + len(value)
	dst[at+binaryLength] = byte(length)
	dst[at+binaryLength+1] = byte(length >> 8)
	dst[at+binaryLength+2] = byte(length >> 16)
	putKey(dst[at+binaryKey:], key)
	return append(dst, value...)
}

// parse returns the next frame. A value has flags 0 and GET's reply has no blocks, so a frame with blocks isn't an
// answer to anything that was asked.
func (w *binaryWire) parse(b []byte) reply {
	if len(b) < proto.HeaderSize {
		return reply{need: proto.HeaderSize}
	}
	h := binary.LittleEndian.Uint64(b)
	flags := proto.Flags(h >> 32)
	if proto.Kind(h) != proto.KindReply || flags&^proto.FlagMore != 0 {
		return garbage(b)
	}
	size := proto.HeaderSize + int(h>>40)
	if len(b) < size {
		return reply{need: size}
	}
	r := reply{size: size, id: uint16(h >> 16), body: b[proto.HeaderSize:size]}
	r.kind = replyKind(proto.Status(h>>8), len(r.body))
	if flags&proto.FlagMore != 0 {
		r.kind = kindPart
	}
	return r
}

// replyKind can't tell an empty value from an acknowledged SET; the connection can, it knows what was asked.
func replyKind(s proto.Status, body int) kind {
	switch {
	case s == proto.ENOTFOUND:
		return kindMiss
	case s != proto.OK:
		return kindError
	case body == 0:
		return kindStored
	}
	return kindValue
}
