package proto

import "encoding/binary"

// blockParser takes fixed parts from the front of a slice. Once a part is missing, `short` is set and
// everything further is zero, so that callers check once, at the end.
type blockParser struct {
	rest  []byte
	short bool
}

// take returns the next n bytes, or nil.
func (p *blockParser) take(n int) []byte {
	if n < 0 || n > len(p.rest) {
		p.short, p.rest = true, nil
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *blockParser) uint8() uint8 {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *blockParser) uint16() uint16 {
	if b := p.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (p *blockParser) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *blockParser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// short16 returns a u16 length and as many bytes: a key, a name, a pattern.
func (p *blockParser) short16() []byte { return p.take(int(p.uint16())) }

// long32 returns a u32 length and as many bytes: a value in a list.
func (p *blockParser) long32() []byte {
	n := p.uint32()
	if uint64(n) > uint64(len(p.rest)) { // before the conversion: int has 32 bits on some machines
		p.short, p.rest = true, nil
		return nil
	}
	return p.take(int(n))
}

// done reports whether everything was there and nothing is left.
func (p *blockParser) done() bool { return !p.short && len(p.rest) == 0 }
