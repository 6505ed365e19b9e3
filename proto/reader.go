package proto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Limits bounds what a Reader accepts. Zero fields mean the format's own limits.
type Limits struct {
	Frame   uint32 // largest Header.Length; 0 = LengthMax
	Message int    // largest joined body; 0 = DefaultMessageMax
	Partial int    // messages that may be half-received at once; 0 = PartialMax for requests, else 65,536
}

// DefaultMessageMax holds the largest value with its key, and some.
const DefaultMessageMax = 512<<20 + KeyMax + 64<<10

const (
	readBuffer = 16 << 10 // what a Reader keeps between messages
	keepBuffer = 1 << 20  // a buffer beyond this is given up once the message is done
)

// Reader takes messages of one kind from a byte stream. It is not safe for concurrent use.
//
// Memory: one buffer, doubled while a frame that doesn't fit keeps arriving; one buffer per half-received
// message, which holds what has arrived of it.
type Reader struct {
	src     io.Reader
	kind    Kind
	limits  Limits
	buf     []byte // buf[pos:end] is read and not consumed
	pos     int
	end     int
	partial map[uint16]*Message // half-received; made on first use
}

// NewReader returns a Reader for messages of the given kind. A Reader of replies skips pushes, since
// version 1 defines none and a client must pass over what it doesn't know.
func NewReader(src io.Reader, kind Kind, limits Limits) *Reader {
	if limits.Frame == 0 {
		limits.Frame = LengthMax
	}
	if limits.Message == 0 {
		limits.Message = DefaultMessageMax
	}
	if limits.Partial == 0 {
		limits.Partial = 1 << 16
		if kind == KindRequest {
			limits.Partial = PartialMax
		}
	}
	return &Reader{src: src, kind: kind, limits: limits, buf: make([]byte, readBuffer)}
}

// Next returns the next whole message, whose Body and Ext stay valid until the following call.
//
// io.EOF means that the stream ended between messages, io.ErrUnexpectedEOF that it ended inside one. A
// *FrameError that is not Fatal concerns one message only: answer it and call Next again. After any
// other error the Reader must not be used.
func (r *Reader) Next() (Message, error) {
	for {
		h, rest, err := r.frame()
		if err != nil {
			return Message{}, err
		}
		if h.Kind != r.kind {
			continue // a push: checkKind has seen that it is one
		}
		m, whole, err := r.accept(h, rest)
		if err != nil || whole {
			return m, err
		}
	}
}

// Buffered returns the number of bytes that were read ahead, so that a caller can tell whether Next may
// have to wait.
func (r *Reader) Buffered() int { return r.end - r.pos }

// frame reads one frame, verifies its checksums, and returns what comes after its header.
func (r *Reader) frame() (Header, []byte, error) {
	r.shrink()
	if err := r.checkKind(); err != nil {
		return Header{}, nil, err
	}
	if err := r.fill(HeaderSize); err != nil {
		return Header{}, nil, err
	}
	h, err := ParseHeader(r.buf[r.pos:r.end])
	if err != nil {
		return h, nil, err
	}
	if err := r.checkHeader(h); err != nil {
		return h, nil, err
	}
	size := HeaderSize + int(h.Length)
	if err := r.fill(size); err != nil {
		return h, nil, err
	}
	rest := r.buf[r.pos+HeaderSize : r.pos+size : r.pos+size]
	r.pos += size
	if h.Flags&FlagIntegrity == 0 {
		return h, rest, nil
	}
	if h.Length < integritySize {
		return h, nil, r.spoiled(h, &FrameError{Status: EFRAME, ID: h.ID,
			Msg: fmt.Sprintf("%d bytes can't hold an INTEGRITY block", h.Length)})
	}
	return h, rest, r.spoiled(h, checkBody(h, rest))
}

// checkKind looks at the first byte of a frame. It doesn't wait for the rest of the header: a peer that
// speaks something else may be waiting for an answer to fewer bytes.
func (r *Reader) checkKind() error {
	if err := r.fill(1); err != nil {
		return err
	}
	kind := Kind(r.buf[r.pos])
	if kind == r.kind || r.kind == KindReply && kind == KindPush {
		return nil
	}
	return &FrameError{Status: EFRAME, Fatal: true,
		Msg: fmt.Sprintf("a frame of kind %#02x starts with %#02x", uint8(r.kind), uint8(kind))}
}

// checkHeader looks at everything else that decides how many bytes belong to the frame. Any error here
// means that the position in the stream is lost, as one of checkKind does.
func (r *Reader) checkHeader(h Header) error {
	if h.Flags&FlagIntegrity != 0 && h.Length >= integritySize {
		if err := r.fill(HeaderSize + 4); err != nil {
			return err
		}
		b := r.buf[r.pos:]
		want := binary.LittleEndian.Uint32(b[HeaderSize:])
		if got := crc32.Checksum(b[:HeaderSize], castagnoli); got != want {
			return &FrameError{Status: ECHECKSUM, Fatal: true,
				Msg: fmt.Sprintf("the header's CRC32C is %08x, the frame says %08x", got, want)}
		}
	}
	if h.Length > r.limits.Frame {
		return &FrameError{Status: ELIMIT, Fatal: true,
			Msg: fmt.Sprintf("a frame of %d bytes, the limit is %d", h.Length, r.limits.Frame)}
	}
	return nil
}

// accept turns a frame into a message, or joins it to the one it belongs to; whole is false while more
// frames must come.
func (r *Reader) accept(h Header, rest []byte) (m Message, whole bool, err error) {
	if p := r.partial[h.ID]; p != nil {
		return r.join(p, h, rest)
	}
	m, err = parseFrame(h, rest)
	if err != nil {
		return Message{}, false, r.spoiled(h, err)
	}
	if h.Flags&FlagMore == 0 {
		return m, true, nil
	}
	if r.kind == KindRequest { // no use in waiting for the body of what will be refused
		err = m.checkOp()
	}
	if err == nil {
		err = r.begin(&m)
	}
	return Message{}, false, r.spoiled(h, err)
}

// spoiled makes an error fatal if the bad frame is part of a sequence: the frames that follow it could be
// mistaken for requests of their own.
func (r *Reader) spoiled(h Header, err error) error {
	var fe *FrameError
	if errors.As(err, &fe) && (h.Flags&FlagMore != 0 || r.partial[h.ID] != nil) {
		fe.Fatal = true
	}
	return err
}

// begin keeps the first frame of a sequence.
func (r *Reader) begin(m *Message) error {
	if len(r.partial) >= r.limits.Partial {
		return &FrameError{Status: ELIMIT, ID: m.ID, Fatal: true,
			Msg: fmt.Sprintf("more than %d half-sent messages", r.limits.Partial)}
	}
	kept := *m
	kept.Body = append([]byte(nil), m.Body...)
	kept.Ext = append([]byte(nil), m.Ext...)
	kept.Flags &^= FlagMore
	if r.partial == nil {
		r.partial = make(map[uint16]*Message)
	}
	r.partial[m.ID] = &kept
	return r.checkSize(&kept)
}

// join appends a further frame to the message it continues.
func (r *Reader) join(p *Message, h Header, rest []byte) (Message, bool, error) {
	if bad := h.Flags &^ (FlagIntegrity | FlagMore); bad != 0 {
		return Message{}, false, &FrameError{Status: EFLAG, ID: h.ID, Fatal: true,
			Msg: fmt.Sprintf("flags %#02x in a frame that continues a message", uint8(bad))}
	}
	if h.Kind == KindRequest && h.Code != p.Code {
		return Message{}, false, &FrameError{Status: ECHUNK, ID: h.ID, Fatal: true,
			Msg: fmt.Sprintf("a frame of %s can't continue a request of %s", h.Op(), Op(p.Code))}
	}
	if h.Flags&FlagIntegrity != 0 {
		rest = rest[integritySize:]
	}
	if h.Code != p.Code { // a reply that ends otherwise than it began: what came so far is void
		p.Code, p.Body = h.Code, p.Body[:0]
	}
	p.Body = append(p.Body, rest...)
	if err := r.checkSize(p); err != nil {
		return Message{}, false, err
	}
	if h.Flags&FlagMore != 0 {
		return Message{}, false, nil
	}
	delete(r.partial, h.ID)
	return *p, true, nil
}

func (r *Reader) checkSize(p *Message) error {
	if len(p.Body) <= r.limits.Message {
		return nil
	}
	return &FrameError{Status: EVALUESIZE, ID: p.ID, Fatal: true,
		Msg: fmt.Sprintf("a chunked body of more than %d bytes", r.limits.Message)}
}

// fill makes sure that n bytes are buffered.
func (r *Reader) fill(n int) error {
	for r.end-r.pos < n {
		if r.pos > 0 && (r.pos == r.end || r.pos+n > len(r.buf)) {
			r.end = copy(r.buf, r.buf[r.pos:r.end])
			r.pos = 0
		}
		if r.end == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		if err != nil && r.end-r.pos < n {
			return r.ended(err)
		}
	}
	return nil
}

// ended says whether a stream ended between messages or inside one.
func (r *Reader) ended(err error) error {
	if errors.Is(err, io.EOF) && (r.end > r.pos || len(r.partial) > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// shrink gives up a buffer that a large frame left behind.
func (r *Reader) shrink() {
	if len(r.buf) > keepBuffer && r.end-r.pos <= readBuffer {
		small := make([]byte, readBuffer)
		r.end = copy(small, r.buf[r.pos:r.end])
		r.buf, r.pos = small, 0
	}
}
