package convert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
	"time"
)

// A part is the keys of one class: how many, and the sum of their hashes, which doesn't depend on the order.
type part struct {
	keys uint64
	a, b uint64
}

func (p *part) add(q part) {
	p.keys += q.keys
	p.a += q.a
	p.b += q.b
}

func (p part) String() string {
	return fmt.Sprintf("%d keys with content hash %016x%016x", p.keys, p.a, p.b)
}

// Times are classed by their distance from the sum's beginning: exact below 128 ms, beyond that 64 classes to every doubling.
// So all but the keys that expire within the same 64th of the time that the work has taken so far can be compared.
const (
	classBits = 6
	classes   = (64 - classBits) << classBits
)

// A sum is a content hash over keys, values and expiries. Both sums that are compared must have the same beginning.
type sum struct {
	began   int64 // Unix milliseconds
	stays   part  // keys without an expiry
	expires []part
	digest  hash.Hash
}

func newSum(began int64) *sum {
	return &sum{began: began, expires: make([]part, classes), digest: sha256.New()}
}

// add counts a key in.
func (s *sum) add(key, value []byte, expire time.Time) {
	var head [16]byte
	at := int64(0)
	if !expire.IsZero() {
		at = expire.UnixMilli()
	}
	binary.LittleEndian.PutUint64(head[:], uint64(len(key)))
	binary.LittleEndian.PutUint64(head[8:], uint64(at))
	s.digest.Reset()
	s.digest.Write(head[:]) // a hash takes everything
	s.digest.Write(key)
	s.digest.Write(value)
	var out [sha256.Size]byte
	h := s.digest.Sum(out[:0])
	of := &s.stays
	if at != 0 {
		of = &s.expires[classOf(at-s.began)]
	}
	of.add(part{1, binary.LittleEndian.Uint64(h), binary.LittleEndian.Uint64(h[8:])})
}

// total is the sum of all classes.
func (s *sum) total() part {
	all := s.stays
	for _, p := range s.expires {
		all.add(p)
	}
	return all
}

// classOf is the class of an expiry, by its distance from the beginning in milliseconds.
func classOf(distance int64) int {
	ms := uint64(max(distance, 0))
	shift := max(bits.Len64(ms)-classBits-1, 0)
	return shift<<classBits + int(ms>>shift)
}

// classFrom is the first distance of a class.
func classFrom(class int) int64 {
	if class < 2<<classBits {
		return int64(class)
	}
	shift := class>>classBits - 1
	return int64(class-shift<<classBits) << shift
}

// compare demands that the copy has everything that the origin has, and nothing else, but for keys that had expired by now
// (Unix milliseconds), at the end of the look at the copy. It returns how many those are.
func compare(origin, copied *sum, now int64) (expired uint64, err error) {
	same := origin.stays == copied.stays
	for i, was := range origin.expires {
		is := copied.expires[i]
		switch {
		case was == is:
		case classFrom(i) <= now-origin.began && is.keys <= was.keys:
			expired += was.keys - is.keys
		default:
			same = false
		}
	}
	if !same {
		return 0, fmt.Errorf("the copy is not what was read: %v were read, and the copy holds %v", origin.total(), copied.total())
	}
	return expired, nil
}
