package proto

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// AppendReply encodes a reply with the given body, which may be empty.
func AppendReply[B Bytes](dst []byte, m Meta, s Status, body B) []byte {
	start := len(dst)
	dst = appendStart(dst, KindReply, uint8(s), &m)
	return appendEnd(append(dst, body...), start, &m)
}

// AppendErrorReply encodes an error with a text for people; an empty one becomes the status's own.
func AppendErrorReply(dst []byte, m Meta, s Status, text string) []byte {
	if text == "" {
		text = s.Error()
	}
	return AppendReply(dst, m, s, text)
}

// HelloReply is what a server tells about itself.
type HelloReply struct {
	Version    uint8  // the one that both will speak
	Features   uint32 // those of the request that the server has too
	FrameMax   uint32 // largest Header.Length that the server accepts
	KeyMax     uint32 // bytes
	ValueMax   uint32 // bytes
	PendingMax uint16 // requests that may wait for their replies on this connection
	Connection uint64 // its id on the server
	Server     string // name and version
}

// AppendHelloReply encodes the reply to HELLO.
func AppendHelloReply(dst []byte, m Meta, h HelloReply) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindReply, uint8(OK), &m), h.Version)
	dst = binary.LittleEndian.AppendUint32(dst, h.Features)
	dst = binary.LittleEndian.AppendUint32(dst, h.FrameMax)
	dst = binary.LittleEndian.AppendUint32(dst, h.KeyMax)
	dst = binary.LittleEndian.AppendUint32(dst, h.ValueMax)
	dst = binary.LittleEndian.AppendUint16(dst, h.PendingMax)
	dst = binary.LittleEndian.AppendUint64(dst, h.Connection)
	return appendEnd(appendKey(dst, h.Server), start, &m)
}

// ParseHelloReply takes the body of an ok reply to HELLO apart. Bytes after the known fields belong to a
// later version and are skipped.
func ParseHelloReply(body []byte) (HelloReply, error) {
	p := blockParser{rest: body}
	h := HelloReply{Version: p.uint8(), Features: p.uint32(), FrameMax: p.uint32(), KeyMax: p.uint32(),
		ValueMax: p.uint32(), PendingMax: p.uint16(), Connection: p.uint64(),
		Server: string(p.short16())}
	if p.short {
		return HelloReply{}, badReply(OpHello, len(body))
	}
	return h, nil
}

func badReply(op Op, n int) error {
	return &FrameError{Status: EFRAME,
		Msg: fmt.Sprintf("a reply to %s can't have a body of these %d bytes", op, n)}
}

// AppendInt64Reply encodes the reply to INCR, TTL and EXPIRETIME.
func AppendInt64Reply(dst []byte, m Meta, n int64) []byte {
	return AppendUint64Reply(dst, m, uint64(n))
}

// AppendUint64Reply encodes the reply to MEMORY and COUNT.
func AppendUint64Reply(dst []byte, m Meta, n uint64) []byte {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return AppendReply(dst, m, OK, b[:])
}

// AppendUint32Reply encodes the reply to MDELETE, MEXISTS, APPEND, SETRANGE, and GETX with GetXLength.
func AppendUint32Reply(dst []byte, m Meta, n uint32) []byte {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], n)
	return AppendReply(dst, m, OK, b[:])
}

// AppendPersistReply encodes the reply to PERSIST: whether an expiry was removed.
func AppendPersistReply(dst []byte, m Meta, removed bool) []byte {
	b := [1]byte{}
	if removed {
		b[0] = 1
	}
	return AppendReply(dst, m, OK, b[:])
}

// ParseInt64 reads the body of an ok reply to INCR, TTL or EXPIRETIME.
func ParseInt64(body []byte) (int64, error) {
	n, err := ParseUint64(body)
	return int64(n), err
}

// ParseUint64 reads the body of an ok reply to MEMORY or COUNT.
func ParseUint64(body []byte) (uint64, error) {
	p := blockParser{rest: body}
	n := p.uint64()
	if !p.done() {
		return 0, &FrameError{Status: EFRAME, Msg: fmt.Sprintf("expected 8 bytes, got %d", len(body))}
	}
	return n, nil
}

// ParseUint32 reads the body of an ok reply to MDELETE, MEXISTS, APPEND, SETRANGE, or GETX with GetXLength.
func ParseUint32(body []byte) (uint32, error) {
	p := blockParser{rest: body}
	n := p.uint32()
	if !p.done() {
		return 0, &FrameError{Status: EFRAME, Msg: fmt.Sprintf("expected 4 bytes, got %d", len(body))}
	}
	return n, nil
}

// ParsePersist reads the body of an ok reply to PERSIST.
func ParsePersist(body []byte) (removed bool, err error) {
	if len(body) != 1 || body[0] > 1 {
		return false, badReply(OpPersist, len(body))
	}
	return body[0] == 1, nil
}

// AppendOldValueReply encodes the reply to SETX with SetXOldValue: status OK or ENOTSTORED, and the
// value that the key had, if it existed.
func AppendOldValueReply(dst []byte, m Meta, s Status, old []byte, existed bool) []byte {
	start := len(dst)
	dst = appendStart(dst, KindReply, uint8(s), &m)
	if existed {
		dst = append(append(dst, 1), old...)
	} else {
		dst = append(dst, 0)
	}
	return appendEnd(dst, start, &m)
}

// ParseOldValue reads the body of a reply to SETX with SetXOldValue.
func ParseOldValue(body []byte) (old []byte, existed bool, err error) {
	switch {
	case len(body) == 1 && body[0] == 0:
		return nil, false, nil
	case len(body) >= 1 && body[0] == 1:
		return body[1:], true, nil
	}
	return nil, false, badReply(OpSetX, len(body))
}

// AppendValuesReply encodes the reply to MGET: a nil value stands for a missing key.
func AppendValuesReply(dst []byte, m Meta, values [][]byte) []byte {
	start := len(dst)
	dst = appendStart(dst, KindReply, uint8(OK), &m)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(values)))
	for _, v := range values {
		s := OK
		if v == nil {
			s = ENOTFOUND
		}
		dst = appendLong(append(dst, byte(s)), v)
	}
	return appendEnd(dst, start, &m)
}

// Values is the reply to MGET: one status and value for each key, in the order of the request.
type Values struct {
	Count uint32
	list  []byte
}

// ParseValues checks the body of an ok reply to MGET.
func ParseValues(body []byte) (Values, error) {
	p := blockParser{rest: body}
	v := Values{Count: p.uint32()}
	v.list = p.rest
	for i := uint32(0); i < v.Count && !p.short; i++ {
		p.uint8()
		p.long32()
	}
	if !p.done() {
		return Values{}, badReply(OpMGet, len(body))
	}
	return v, nil
}

// All yields the statuses and values in order.
func (v Values) All() iter.Seq2[Status, []byte] {
	return func(yield func(Status, []byte) bool) {
		p := blockParser{rest: v.list}
		for range v.Count {
			if !yield(Status(p.uint8()), p.long32()) {
				return
			}
		}
	}
}

// ScanEntry is one key of a SCAN reply; without ScanMetadata only Key is set.
type ScanEntry struct {
	Key     []byte
	Version uint64
	Expiry  int64  // Unix ms, 0 = never
	Size    uint32 // bytes of the value
}

// AppendScanReply encodes the reply to SCAN; cursor 0 says that the scan is complete.
func AppendScanReply(dst []byte, m Meta, options uint8, cursor uint64, entries []ScanEntry) []byte {
	start := len(dst)
	dst = appendStart(dst, KindReply, uint8(OK), &m)
	dst = binary.LittleEndian.AppendUint64(dst, cursor)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(entries)))
	for i := range entries {
		e := &entries[i]
		dst = appendKey(dst, e.Key)
		if options&ScanMetadata != 0 {
			dst = binary.LittleEndian.AppendUint64(dst, e.Version)
			dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Expiry))
			dst = binary.LittleEndian.AppendUint32(dst, e.Size)
		}
	}
	return appendEnd(dst, start, &m)
}

// ScanReply is a page of a scan.
type ScanReply struct {
	Cursor   uint64 // for the next request; 0 = the scan is complete
	Count    uint32
	metadata bool
	list     []byte
}

// ParseScanReply checks the body of an ok reply to SCAN; options are those of the request.
func ParseScanReply(body []byte, options uint8) (ScanReply, error) {
	p := blockParser{rest: body}
	s := ScanReply{Cursor: p.uint64(), Count: p.uint32(), metadata: options&ScanMetadata != 0}
	s.list = p.rest
	for i := uint32(0); i < s.Count && !p.short; i++ {
		s.next(&p)
	}
	if !p.done() {
		return ScanReply{}, badReply(OpScan, len(body))
	}
	return s, nil
}

func (s ScanReply) next(p *blockParser) ScanEntry {
	e := ScanEntry{Key: p.short16()}
	if s.metadata {
		e.Version, e.Expiry, e.Size = p.uint64(), int64(p.uint64()), p.uint32()
	}
	return e
}

// All yields the entries of the page.
func (s ScanReply) All() iter.Seq[ScanEntry] {
	return func(yield func(ScanEntry) bool) {
		p := blockParser{rest: s.list}
		for range s.Count {
			if !yield(s.next(&p)) {
				return
			}
		}
	}
}
