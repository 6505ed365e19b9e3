package load

import "bytes"

// A wire encodes requests and splits replies. One belongs to each loop; it keeps no state of a connection.
type wire interface {
	// appendGet and appendSet append a request. id comes back with the reply if the protocol has ids. The key's
	// prefix is the wire's.
	appendGet(dst []byte, id uint16, key uint64) []byte
	appendSet(dst []byte, id uint16, key uint64, value []byte) []byte
	// parse takes the first reply from b. size 0: it isn't complete; the bytes needed are at least `need`.
	parse(b []byte) reply
	// ordered says that replies come in the order of the requests and have no ids.
	ordered() bool
}

// kind says what a reply means.
type kind uint8

const (
	kindStored  kind = iota // the SET took place
	kindValue               // a value
	kindMiss                // no such key
	kindError               // an error reply; body is its text
	kindPart                // a part of a reply, more frames of it follow
	kindGarbage             // not a reply of this protocol; body is a sample of it
)

// A reply is one parsed reply; body is borrowed from the parsed bytes.
type reply struct {
	size int // bytes taken; 0: incomplete
	need int // if incomplete: bytes that must be there before parsing makes sense again
	id   uint16
	kind kind
	body []byte
}

// A key is a prefix of four bytes and twelve digits.
const (
	keySize = 16
	keyZero = "000000000000"
)

// digitPairs has the two digits of 00 to 99, one after the other.
var digitPairs = func() (pairs [200]byte) {
	for i := range 100 {
		pairs[2*i], pairs[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return pairs
}()

// putKey writes the digits of a key, %012d, behind its prefix to dst[:keySize].
func putKey(dst []byte, key uint64) {
	_ = dst[keySize-1]
	for at := keySize - 2; at >= 4; at -= 2 {
		rest := key / 100
		pair := 2 * (key - rest*100)
		dst[at], dst[at+1] = digitPairs[pair], digitPairs[pair+1]
		key = rest
	}
}

// garbage returns the reply that ends a run: b doesn't begin with a reply.
func garbage(b []byte) reply {
	return reply{size: len(b), kind: kindGarbage, body: bytes.TrimSpace(b[:min(len(b), 80)])}
}
