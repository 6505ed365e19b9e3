package proto

import (
	"encoding/binary"
	"fmt"
)

// Version is the protocol version that this package speaks, as negotiated by HELLO.
const Version = 1

// Sizes and limits that the format itself sets.
const (
	HeaderSize    = 8         // bytes of a Header on the wire
	LengthMax     = 1<<24 - 1 // largest Header.Length: the field has 24 bits
	KeyMax        = 1<<16 - 1 // largest key: its length has 16 bits
	PartialMax    = 16        // chunked requests that may be half-sent on one connection
	LockedMax     = 4096      // largest frame, its header included, before AUTH where a password is set
	integritySize = 8         // bytes of an INTEGRITY block
	extHeadSize   = 4         // type and length in front of each extension
)

// Kind is the first byte of every frame. No kind starts a text command, RESP or TLS, which is how a
// server tells the protocols apart by one byte.
type Kind uint8

// The kinds.
const (
	KindRequest Kind = 0xF5 // client to server
	KindReply   Kind = 0xF6 // server to client, answers the request with the same id
	KindPush    Kind = 0xF7 // server to client, answers nothing; version 1 sends none
)

// Flags is the flags byte of a header. The two low bits and the block bits mean the same in both
// directions; 0x10 does not.
type Flags uint8

// Flags of both directions.
const (
	FlagIntegrity Flags = 0x01 // an INTEGRITY block follows the header
	FlagExt       Flags = 0x02 // an EXT block follows
	FlagVersion   Flags = 0x04 // a VERSION block follows
	FlagExpiry    Flags = 0x08 // an EXPIRY block follows
	FlagMore      Flags = 0x20 // the body goes on in a later frame with the same id
)

// Flags of requests.
const (
	FlagQuiet      Flags = 0x10 // don't send an empty reply of class 0 or 1
	FlagDurability Flags = 0xC0 // mask of the durability level
)

// Flags of replies.
const (
	FlagLSN      Flags = 0x10 // an LSN block follows
	FlagReserved Flags = 0xC0 // always zero
)

// Durability levels of a request: how safe what a reply acknowledges or shows must be before the reply
// leaves. A server without a log refuses DurabilityEverySec and DurabilityAlways with EUNSUPPORTED
// rather than acknowledge what it can't do.
const (
	DurabilityDefault  Flags = 0x00 // the connection's level, at first the server's
	DurabilityNever    Flags = 0x40 // written: safe if the server's process dies
	DurabilityEverySec Flags = 0x80 // the same, and a power loss takes at most one second
	DurabilityAlways   Flags = 0xC0 // on disk: safe after a power loss
)

// Header is the first eight bytes of a frame.
type Header struct {
	Kind   Kind
	Code   uint8  // an Op in a request, a Status in a reply
	ID     uint16 // chosen by the client, echoed in the reply
	Flags  Flags
	Length uint32 // bytes after the header: blocks and body; at most LengthMax
}

// put writes the header to b[:HeaderSize] as one 64-bit store.
func (h Header) put(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(h.Kind)|uint64(h.Code)<<8|uint64(h.ID)<<16|
		uint64(h.Flags)<<32|uint64(h.Length)<<40)
}

// Append appends the encoded header to dst. Length must not exceed LengthMax.
func (h Header) Append(dst []byte) []byte {
	var b [HeaderSize]byte
	h.put(b[:])
	return append(dst, b[:]...)
}

// ParseHeader takes the header from the front of b. It fails only when b is shorter than HeaderSize:
// whether the kind, code and flags make sense is for the reader of the frame to say.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("proto: a header has %d bytes, got %d", HeaderSize, len(b))
	}
	w := binary.LittleEndian.Uint64(b)
	return Header{
		Kind:   Kind(w),
		Code:   uint8(w >> 8),
		ID:     uint16(w >> 16),
		Flags:  Flags(w >> 32),
		Length: uint32(w >> 40),
	}, nil
}

// Status returns the code of a reply.
func (h Header) Status() Status { return Status(h.Code) }

// Op returns the code of a request.
func (h Header) Op() Op { return Op(h.Code) }
