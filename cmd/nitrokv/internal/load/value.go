package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// values makes the values of one loop.
type values struct {
	min, span int // sizes are min to min+span
	seed      uint64
	pool      []byte // random bytes that unverified values are cut from
	scratch   []byte // a verified or modified value
}

// poolExtra is how much longer than a value the pool is: two values rarely share their beginning, and a compressor
// finds nothing in one value.
const poolExtra = 1 << 20

func newValues(c *Config) *values {
	v := &values{min: c.ValueMin, span: c.ValueMax - c.ValueMin, seed: c.Seed}
	if c.Verify {
		v.scratch = make([]byte, c.ValueMax+8)
		return v
	}
	v.pool = make([]byte, c.ValueMax+poolExtra)
	fill(v.pool, c.Seed)
	return v
}

// fill writes random bytes made from a seed.
func fill(b []byte, seed uint64) {
	r := rng{seed}
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, r.next())
	}
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], r.next())
		copy(b, last[:])
	}
}

// random returns an unverified value, borrowed for good: nobody writes to the pool.
func (v *values) random(r *rng) []byte {
	bits := r.next()
	size := v.min
	if v.span > 0 {
		size += int(uint64(uint32(bits>>32)) * uint64(v.span+1) >> 32)
	}
	at := int(uint32(bits)) & (poolExtra - 1)
	return v.pool[at : at+size]
}

// modified returns a copy of a value with one field changed, borrowed until the next call. A value that is no record has
// as many fields as fit, at least one.
func (v *values) modified(r *rng, value []byte) []byte {
	v.scratch = append(v.scratch[:0], value...)
	if len(value) == 0 {
		return v.scratch
	}
	size := min(fieldSize, len(value))
	at := size * int(r.below(uint64(len(value)/size)))
	from := int(uint32(r.next())) & (poolExtra - 1)
	copy(v.scratch[at:at+size], v.pool[from:])
	return v.scratch
}

// checked returns the value that version `version` of a key has, borrowed until the next call: the version, then bytes
// made from seed, key and version. Its size follows from the same three.
func (v *values) checked(key uint64, version uint32) []byte {
	state := mix(v.seed ^ mix(key<<32^key>>32^uint64(version)*0x9E3779B97F4A7C15))
	size := v.min + int(state%uint64(v.span+1))
	b := v.scratch[:size]
	binary.LittleEndian.PutUint64(b, uint64(version))
	fill(b[8:], state)
	return b
}

// check describes what is wrong with a value that was read for a key, or returns "". want is the version that it must
// have, or 0 for any.
func (v *values) check(key uint64, want uint32, got []byte) string {
	if len(got) < MinVerify {
		return fmt.Sprintf("%d bytes, a value has at least %d", len(got), MinVerify)
	}
	version := binary.LittleEndian.Uint64(got)
	if version == 0 || version>>32 != 0 {
		return fmt.Sprintf("version %d: never written", version)
	}
	if want != 0 && uint32(version) != want {
		return fmt.Sprintf("version %d instead of %d", version, want)
	}
	if !bytes.Equal(got, v.checked(key, uint32(version))) {
		return fmt.Sprintf("the %d bytes of version %d are not those that were written", len(got), version)
	}
	return ""
}
