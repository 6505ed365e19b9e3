package proto

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// castagnoli is the CRC32C table; the standard library uses the processor's instruction where it can.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Meta is what a message carries beside its body: the id, the flags and the blocks that the flags
// announce. To send a block set its flag and its field. FlagMore is the codec's own: it is ignored here
// and set where a body has to be split.
type Meta struct {
	ID      uint16
	Flags   Flags
	Version uint64 // with FlagVersion: expected in a request (0 = must not exist), actual in a reply
	Expiry  int64  // with FlagExpiry: Unix ms; in a request < 0 means that many ms from now
	LSN     uint64 // with FlagLSN, replies only
	Ext     []byte // with FlagExt: the extensions as encoded by AppendExt

	// FrameMax is the largest Header.Length to produce; a longer message leaves as several frames.
	// 0 means LengthMax. Parsed messages have it 0.
	FrameMax uint32
}

// Message is one request, reply or push, joined if it came in several frames. Body and Ext borrow from
// the buffer that it was read from.
type Message struct {
	Kind Kind
	Code uint8 // an Op or a Status
	Meta
	Body []byte
}

// Op returns the opcode of a request.
func (m *Message) Op() Op { return Op(m.Code) }

// Status returns the status of a reply.
func (m *Message) Status() Status { return Status(m.Code) }

// AppendExt appends one extension to dst, for Meta.Ext. A receiver that doesn't know a critical
// extension refuses the message; any other it skips. The type is 15 bits; the value must be shorter
// than 64 KiB.
func AppendExt(dst []byte, typ uint16, critical bool, value []byte) []byte {
	typ &= extTypeMask
	if critical {
		typ |= extCritical
	}
	dst = binary.LittleEndian.AppendUint16(dst, typ)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

const (
	extCritical uint16 = 0x8000
	extTypeMask uint16 = 0x7FFF
)

// appendStart appends the header with length 0 and the blocks; appendEnd completes both when the body
// stands behind them.
func appendStart(dst []byte, kind Kind, code uint8, m *Meta) []byte {
	flags := m.Flags &^ FlagMore
	dst = Header{Kind: kind, Code: code, ID: m.ID, Flags: flags}.Append(dst)
	if flags == 0 {
		return dst
	}
	if flags&FlagIntegrity != 0 {
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if flags&FlagExt != 0 {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Ext)))
		dst = append(dst, m.Ext...)
	}
	if flags&FlagVersion != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, m.Version)
	}
	if flags&FlagExpiry != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Expiry))
	}
	if kind != KindRequest && flags&FlagLSN != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, m.LSN)
	}
	return dst
}

// appendEnd completes the message that starts at dst[start]: its length, its checksums, and, if it is
// longer than one frame may be, its division into frames.
func appendEnd(dst []byte, start int, m *Meta) []byte {
	limit := LengthMax
	if m.FrameMax != 0 && m.FrameMax < LengthMax {
		limit = int(m.FrameMax)
	}
	if n := len(dst) - start - HeaderSize; n > limit {
		blocks := blockBytes(dst[start:])
		if room := max(limit-blocks, 1); n-blocks > room {
			return splitMessage(dst, start+HeaderSize+blocks+room, start, limit)
		}
	}
	seal(dst[start:])
	return dst
}

// blockBytes returns the length of the blocks of an encoded message.
func blockBytes(msg []byte) int {
	kind, flags := Kind(msg[0]), Flags(msg[4])
	n := 0
	if flags&FlagIntegrity != 0 {
		n += integritySize
	}
	if flags&FlagExt != 0 {
		n += 2 + int(binary.LittleEndian.Uint16(msg[HeaderSize+n:]))
	}
	if flags&FlagVersion != 0 {
		n += 8
	}
	if flags&FlagExpiry != 0 {
		n += 8
	}
	if kind != KindRequest && flags&FlagLSN != 0 {
		n += 8
	}
	return n
}

// splitMessage divides the message at dst[start:] into frames of at most limit bytes after the header;
// the first one ends before dst[rest]. It opens the gaps for the further headers in place, from the last
// one backwards, so a large body is moved once and never held twice. A limit too small for the blocks
// still lets each frame carry one byte, so that the division ends.
func splitMessage(dst []byte, rest, start, limit int) []byte {
	first, _ := ParseHeader(dst[start:])
	gap := HeaderSize // what a further frame has in front of its piece of the body
	if first.Flags&FlagIntegrity != 0 {
		gap += integritySize
	}
	piece := max(limit-(gap-HeaderSize), 1)
	count := (len(dst) - rest + piece - 1) / piece
	end := len(dst)
	dst = slices.Grow(dst, count*gap)[:end+count*gap]
	next := first
	next.Flags &= FlagIntegrity
	for i := count - 1; i >= 0; i-- {
		from, to := rest+i*piece, rest+i*(piece+gap)
		n := min(piece, end-from)
		copy(dst[to+gap:], dst[from:from+n])
		next.put(dst[to:])
		seal(dst[to : to+gap+n])
		next.Flags |= FlagMore // for all but the last, which this loop meets first
	}
	first.Flags |= FlagMore
	first.put(dst[start:])
	seal(dst[start:rest])
	return dst
}

// seal completes one frame: the length in its header, then the checksums over both.
func seal(frame []byte) {
	n := len(frame) - HeaderSize
	frame[5], frame[6], frame[7] = byte(n), byte(n>>8), byte(n>>16)
	if Flags(frame[4])&FlagIntegrity == 0 {
		return
	}
	body := frame[HeaderSize+integritySize:]
	binary.LittleEndian.PutUint32(frame[8:], crc32.Checksum(frame[:HeaderSize], castagnoli))
	binary.LittleEndian.PutUint32(frame[12:], crc32.Checksum(body, castagnoli))
}

// checkBody compares the second checksum of a frame that has FlagIntegrity; rest is everything after
// the header. The first one is compared earlier, before the length is believed.
func checkBody(h Header, rest []byte) error {
	want := binary.LittleEndian.Uint32(rest[4:])
	if got := crc32.Checksum(rest[integritySize:], castagnoli); got != want {
		return &FrameError{Status: ECHECKSUM, ID: h.ID,
			Msg: fmt.Sprintf("the body's CRC32C is %08x, the frame says %08x", got, want)}
	}
	return nil
}

// parseFrame takes a whole frame apart: rest is everything after the header, checksums already
// verified. The message borrows from rest.
func parseFrame(h Header, rest []byte) (Message, error) {
	m := Message{Kind: h.Kind, Code: h.Code, Meta: Meta{ID: h.ID, Flags: h.Flags}, Body: rest}
	if h.Flags == 0 {
		return m, nil
	}
	p := blockParser{rest: rest}
	if h.Flags&FlagIntegrity != 0 {
		p.take(integritySize)
	}
	if h.Flags&FlagExt != 0 {
		m.Ext = p.take(int(p.uint16()))
	}
	if h.Flags&FlagVersion != 0 {
		m.Version = p.uint64()
	}
	if h.Flags&FlagExpiry != 0 {
		m.Expiry = int64(p.uint64())
	}
	if h.Kind != KindRequest && h.Flags&FlagLSN != 0 {
		m.LSN = p.uint64()
	}
	m.Body = p.rest
	if p.short {
		return m, &FrameError{Status: EFRAME, ID: h.ID, Msg: "the frame ends inside its blocks"}
	}
	return m, m.checkBlocks()
}

// checkBlocks applies the rules that hold for every opcode.
func (m *Message) checkBlocks() error {
	if m.Kind != KindRequest && m.Flags&FlagReserved != 0 {
		return &FrameError{Status: EFLAG, ID: m.ID,
			Msg: fmt.Sprintf("reserved flags %#02x are set in a reply", uint8(m.Flags&FlagReserved))}
	}
	if m.Flags&FlagExpiry != 0 && (m.Expiry == 0 || m.Expiry < 0 && m.Kind != KindRequest) {
		return &FrameError{Status: EFRAME, ID: m.ID,
			Msg: fmt.Sprintf("an EXPIRY block can't hold %d", m.Expiry)}
	}
	return checkExt(m.ID, m.Ext)
}

// checkExt walks the extensions to their end. Version 1 knows none, so a critical one is refused, unless
// the block is malformed, which says more.
func checkExt(id uint16, ext []byte) error {
	var refused error
	p := blockParser{rest: ext}
	for len(p.rest) > 0 {
		typ := p.uint16()
		p.take(int(p.uint16()))
		if p.short {
			return &FrameError{Status: EFRAME, ID: id, Msg: "an extension ends outside its block"}
		}
		if typ&extCritical != 0 && refused == nil {
			refused = &FrameError{Status: EEXTENSION, ID: id,
				Msg: fmt.Sprintf("extension %#04x is critical and unknown", typ)}
		}
	}
	return refused
}
